// Package groupcache is the API of mailgun/groupcache v2 on top of gcnode.
package groupcache

import (
	_ "github.com/gcnode/gcnode/core"
	_ "github.com/gcnode/gcnode/transport/http"
	_ "github.com/prometheus/client_golang/prometheus"
	_ "google.golang.org/protobuf/proto"
)
