package x

import _ "github.com/mailgun/groupcache/v2"
