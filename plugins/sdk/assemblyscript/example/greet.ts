import {
  Fetch, Getter, Level, Request, Response, Then,
  duration, escape, log, register, settingOr, settingsOnly,
} from "gcnode/assembly";
export { gcnode_abi_1, gcnode_cancel, gcnode_configure, gcnode_get, gcnode_resume } from "gcnode/assembly";

class Greeter extends Getter {
  constructor(private origin: string, private ttl: i64) {
    super();
  }

  // Called for each key. It returns while the fetch is under way.
  get(req: Request): void {
    if (req.key.length == 0) {
      req.notFound("a user has a name", 3600000);
      return;
    }
    const what = new Fetch(this.origin + "/names/" + escape(req.key));
    what.maxBodyBytes = 1000;
    req.fetch(what, new Greet(this.ttl));
  }
}

// There are no closures: what goes on after a fetch is an object, whose fields
// are what it needs.
class Greet extends Then {
  constructor(private ttl: i64) {
    super();
  }

  fetched(req: Request, name: Response): void {
    if (req.failed(name, 60000)) return; // unreachable, 404, 503: they are answered with the kind that fits
    req.okText("Hello, " + name.text + "!\n", this.ttl);
  }
}

// Called once per instance. With null the module is refused.
register((): Getter | null => {
  let right = settingsOnly(["origin", "ttl"]);
  const ttl = duration("ttl", 600000);
  if (ttl < 0) {
    log(Level.Error, "the setting ttl is no duration such as 90s or 1h30m");
    right = false;
  }
  return right ? new Greeter(settingOr("origin", "http://127.0.0.1:9000"), ttl) : null;
});
