//go:build logrus

package main

import (
	"github.com/mailgun/groupcache/v2"
	"github.com/sirupsen/logrus"
)

func init() {
	groupcache.SetLogger(logrus.WithField("from", "groupcache"))
}
