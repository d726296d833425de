package getter

// DecodeConfig and TTLMillis give tests outside of the package what only the
// guest's side uses.
var (
	DecodeConfig = decodeConfig
	TTLMillis    = ttlMillis
)
