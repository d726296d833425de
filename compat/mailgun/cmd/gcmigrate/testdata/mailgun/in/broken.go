package main

import "github.com/mailgun/groupcache/v2

