package proxy

import (
	"net/http"
	"sync/atomic"
	"time"
)

// dateLine is the value of a Date field and the second it is for.
type dateLine struct {
	second int64
	text   []byte
}

var lastDate atomic.Pointer[dateLine]

// httpDate returns the present second as RFC 9110 wants it, formatted once a second.
func httpDate() []byte {
	t := time.Now()
	d := lastDate.Load()
	if d == nil || d.second != t.Unix() {
		d = &dateLine{t.Unix(), t.UTC().AppendFormat(nil, http.TimeFormat)}
		lastDate.Store(d)
	}
	return d.text
}
