package fetchmsg_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/gcnode/gcnode/plugins/sdk/go/internal/fetchmsg"
)

// goldenRequest is the request below, byte by byte: the contract with hosts
// and with other SDKs.
const goldenRequest = "0400" + "0200" + "0e000000" + "03000000" + "dc050000" + "00001000" +
	"504f5354" + // POST
	"687474703a2f2f6f2f613f623d63" + // http://o/a?b=c
	"0600" + "03000000" + "416363657074" + "2a2f2a" + // Accept */*
	"0100" + "00000000" + "58" + // X
	"00ff0a"

func request() fetchmsg.Request {
	return fetchmsg.Request{
		Method:        "POST",
		URL:           "http://o/a?b=c",
		Header:        []fetchmsg.Field{{Name: "Accept", Value: "*/*"}, {Name: "X"}},
		Body:          []byte{0, 0xff, '\n'},
		TimeoutMillis: 1500,
		MaxBodyBytes:  1 << 20,
	}
}

// goldenAnswer is the answer below, byte by byte.
const goldenAnswer = "c800" + "0000" + "0100" + "0000" + "02000000" +
	"0400" + "01000000" + "45546167" + "31" + // ETag 1
	"6869"

func answer() fetchmsg.Answer {
	return fetchmsg.Answer{
		Status: 200,
		Header: []fetchmsg.Field{{Name: "ETag", Value: "1"}},
		Body:   []byte("hi"),
	}
}

func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestRequestIsEncodedAsInTheContract(t *testing.T) {
	got, err := request().Encode()
	if err != nil {
		t.Fatal(err)
	}
	if want := unhex(t, goldenRequest); !bytes.Equal(got, want) {
		t.Errorf("encoded\n%x, want\n%x", got, want)
	}
	back, err := fetchmsg.DecodeRequest(got)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back, request()) {
		t.Errorf("decoded %+v", back)
	}
}

func TestAnswerIsDecodedAsInTheContract(t *testing.T) {
	got, err := fetchmsg.DecodeAnswer(unhex(t, goldenAnswer))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, answer()) {
		t.Errorf("decoded %+v", got)
	}
	encoded, err := got.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if want := unhex(t, goldenAnswer); !bytes.Equal(encoded, want) {
		t.Errorf("encoded\n%x, want\n%x", encoded, want)
	}
}

func TestEveryCutOfAMessageIsMalformed(t *testing.T) {
	requestBytes, answerBytes := unhex(t, goldenRequest), unhex(t, goldenAnswer)
	for n := range requestBytes {
		if _, err := fetchmsg.DecodeRequest(requestBytes[:n]); !errors.Is(err, fetchmsg.ErrMalformed) {
			t.Errorf("request cut after %d bytes: %v", n, err)
		}
	}
	for n := range answerBytes {
		if _, err := fetchmsg.DecodeAnswer(answerBytes[:n]); !errors.Is(err, fetchmsg.ErrMalformed) {
			t.Errorf("answer cut after %d bytes: %v", n, err)
		}
	}
	if _, err := fetchmsg.DecodeRequest(append(requestBytes, 0)); !errors.Is(err, fetchmsg.ErrMalformed) {
		t.Errorf("request with a byte too many: %v", err)
	}
	if _, err := fetchmsg.DecodeAnswer(append(answerBytes, 0)); !errors.Is(err, fetchmsg.ErrMalformed) {
		t.Errorf("answer with a byte too many: %v", err)
	}
}

func TestAnswerHasEitherStatusOrFailure(t *testing.T) {
	for name, message := range map[string]string{
		"neither": "00000000" + "0000" + "0000" + "00000000",
		"both":    "c8000300" + "0000" + "0000" + "00000000",
	} {
		if _, err := fetchmsg.DecodeAnswer(unhex(t, message)); !errors.Is(err, fetchmsg.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLengthsThatLieCostNothing(t *testing.T) {
	huge := unhex(t, "c800"+"0000"+"ffff"+"0000"+"ffffffff"+"ffff"+"ffffffff"+"61")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const runs = 100
	for range runs {
		if _, err := fetchmsg.DecodeAnswer(huge); !errors.Is(err, fetchmsg.ErrMalformed) {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if perRun := (after.TotalAlloc - before.TotalAlloc) / runs; perRun > 64<<10 {
		t.Errorf("%d bytes allocated for a message of %d", perRun, len(huge))
	}
}

func TestPartsThatAreTooLongAreRefused(t *testing.T) {
	long := strings.Repeat("x", math.MaxUint16+1)
	for name, r := range map[string]fetchmsg.Request{
		"method":       {Method: long},
		"header name":  {Header: []fetchmsg.Field{{Name: long}}},
		"header count": {Header: make([]fetchmsg.Field, math.MaxUint16+1)},
	} {
		if _, err := r.Encode(); !errors.Is(err, fetchmsg.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDecodeAnswer(f *testing.F) {
	f.Add(unhex(f, goldenAnswer))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, message []byte) {
		decoded, err := fetchmsg.DecodeAnswer(message)
		if err != nil {
			return
		}
		encoded, err := decoded.Encode()
		if err != nil {
			t.Fatalf("decoded, but not encoded again: %v", err)
		}
		want := bytes.Clone(message)
		want[6], want[7] = 0, 0 // reserved
		if !bytes.Equal(encoded, want) {
			t.Errorf("%x became %x", message, encoded)
		}
	})
}

func FuzzDecodeRequest(f *testing.F) {
	f.Add(unhex(f, goldenRequest))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, message []byte) {
		decoded, err := fetchmsg.DecodeRequest(message)
		if err != nil {
			return
		}
		encoded, err := decoded.Encode()
		if err != nil {
			t.Fatalf("decoded, but not encoded again: %v", err)
		}
		if !bytes.Equal(encoded, message) {
			t.Errorf("%x became %x", message, encoded)
		}
	})
}
