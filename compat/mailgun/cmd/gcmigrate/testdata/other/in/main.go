package main

import (
	_ "github.com/groupcache/groupcache-go/v3"
	_ "github.com/groupcache/groupcache-go/v3/transport"
	_ "github.com/mailgun/groupcache"
	_ "github.com/modernprogram/groupcache/v2"
	_ "github.com/golang/groupcachelike"
)

func main() {}
