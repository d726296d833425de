//go:build windows && !never

package main

import "github.com/mailgun/groupcache/v2"

var stats groupcache.CacheStats
