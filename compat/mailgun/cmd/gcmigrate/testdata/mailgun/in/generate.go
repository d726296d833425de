package main

//go:generate mockgen -package=main -destination=mock_generated.go github.com/mailgun/groupcache/v2 Getter
