//go:build logrus

package main

import (
	"github.com/mailgun/groupcache/v2"
	"github.com/sirupsen/logrus"
)

var _ groupcache.Logger = groupcache.LogrusLogger{}

func init() {
	groupcache.SetLogger(logrus.WithField("from", "groupcache"))
}
