// Package userpb has the message of the example.
package userpb

//go:generate sh -c "GOWORK=off go tool -modfile=../../../../tools/buf/go.mod buf lint"
//go:generate sh -c "GOWORK=off go tool -modfile=../../../../tools/buf/go.mod buf generate"
