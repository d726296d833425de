// Called once per instance. An exception refuses the module.
gcnode.register((settings) => {
	settings.only("origin", "ttl");
	const origin = settings.text("origin", "http://127.0.0.1:9000");
	const ttl = settings.duration("ttl", 600000);

	// Called for each key. Others are served while the fetch is under way.
	return async (user) => {
		if (user.bytes.length === 0) throw gcnode.notFound("a user has a name", 3600000);
		const answer = await user.fetch({url: `${origin}/names/${user.escaped}`, maxBodyBytes: 1000});
		const name = answer.check(60000); // unreachable, 404, 503: thrown with the kind that fits
		return {value: `Hello, ${name.text}!\n`, ttl};
	};
});
