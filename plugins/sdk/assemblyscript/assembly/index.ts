// Getters for gcnode in AssemblyScript, as WebAssembly modules.
// docs/writing-getters.md tells how to build one, docs/plugin-abi.md is the
// contract with the node.
//
// The file of a getter registers it and exports what the node calls:
//
//	import { Getter, Request, register } from "gcnode/assembly";
//	export { gcnode_abi_1, gcnode_configure, gcnode_get, gcnode_resume, gcnode_cancel } from "gcnode/assembly";
//
// If it exports gcnode_get_many as well, the node may hand over several keys in
// one call, and what is fetched for them is fetched at the same time.

export { Fetch, Failure, Response, Then } from "./fetch";
export { Request, Kind, TTL_DEFAULT, NO_STORE } from "./request";
export { Level, bytes, duration, escape, log, logs, monotonicNs, nowMs, setting, settingOr, settingsOnly, storeGet, storeSet } from "./node";
export { Getter, register, abort, gcnode_abi_1, gcnode_configure, gcnode_get, gcnode_get_many, gcnode_resume, gcnode_cancel } from "./getter";
