// Package conformance judges modules: those of anybody, and those that show that
// an SDK is right.
//
// [Getter] checks what every getter has to do, whatever its keys mean: it is
// asked for keys of any bytes, by many callers at once, in batches, by callers
// that give up, and again and again. None of that may end an instance.
//
//	suite, err := conformance.Getter(module, conformance.GetterOptions{Keys: []string{"ann"}})
//	if err != nil {
//		return err
//	}
//	defer suite.Close()
//	for _, check := range suite.Checks() {
//		if err := check.Judge(ctx); err != nil {
//			fmt.Println(check.Name, err)
//		}
//	}
//
// [Probe] is the suite that every SDK for guests has to pass. It runs against a
// probe: a getter written with the SDK whose keys are commands. Neither needs
// package testing; wasmtest runs the latter as tests.
//
// # Probes
//
// A command and its arguments are separated by colons, and the last argument
// may hold anything. A probe refuses its configuration, after it has logged
// "told to fail" as an error, if the setting "open" is "fail". Values have the
// group's default lifetime unless something else is said.
//
//	echo:X              the value X, of any bytes
//	size:N              a value of N times "x"
//	ttl:MS              an empty value with that lifetime; -1 is the group's default
//	nostore             an empty value that is not kept
//	notfound:MS:TEXT    not found, with the lifetime and the message
//	transient:TEXT      the error with the message; so permanent, denied, overloaded
//	setting:NAME        a setting, or "unset"
//	duration:NAME       a setting as milliseconds, 7 if it is not set, or "invalid"
//	log:LEVEL:TEXT      logs the text with level 0 to 3; "logs" or "silent", whether the level is recorded
//	now, monotonic      Unix time in milliseconds; a monotonic clock in nanoseconds
//	set:MS:KEY:X        stores X under KEY for so long; "stored" or "no room"
//	stored:KEY          what is stored, or not found
//	escape:X            X as a segment of the path of a URL
//	trap, spin          traps or panics; never returns
//	fetch:URL           the answer's field X-Answer, a space, and its body; sends X-Probe: yes.
//	                    Failures and statuses from 400 on are the errors that the SDK makes of them,
//	                    not found with a lifetime of one minute
//	post:URL            the same with the method POST and the body "posted"
//	again:N:URL         the same, N times one after the other, the last answer
//	many:N:URL          N fetches at the same time: how many had status 200, a space, bytes of their bodies
//	failure:URL         the number of the failure, 0 if there was an answer
//	limit:N:URL         the same with a limit of N bytes for the body
//	timeout:MS:URL      the same with a timeout
package conformance
