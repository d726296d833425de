package main
import ( "errors"; gc "github.com/mailgun/groupcache/v2" )

func notFound(err error) bool   { return errors.Is(err, &gc.ErrNotFound{}) }
