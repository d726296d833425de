package wire

//go:generate sh -c "GOWORK=off go tool -modfile=../../tools/buf/go.mod buf lint"
//go:generate sh -c "GOWORK=off go tool -modfile=../../tools/buf/go.mod buf generate"
