package cluster

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"
)

func TestAnswersToHTTPProbes(t *testing.T) {
	for name, tc := range map[string]struct{ answer, want string }{
		"good":                      {"HTTP/1.1 204 No Content\r\n\r\n", ""},
		"good_after_an_interim_one": {"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", ""},
		"a_bad_status":              {"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "status 503, want 200..399"},
		"a_body_cut_short":          {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", "unexpected EOF"},
		"a_head_without_end":        {"HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", 2*maxProbeAnswer), "a head of more than 65536 bytes"},
		"garbage":                   {"SSH-2.0-x\r\n\r\n", "malformed HTTP"},
		"none":                      {"", "deadline exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			over := make(chan struct{})
			defer func() { <-over }()
			go func() {
				defer close(over)
				c, err := ln.Accept()
				if err != nil {
					return
				}
				defer c.Close()
				_, _ = c.Read(make([]byte, 4096))
				_, _ = c.Write([]byte(tc.answer))
				if tc.answer == "" {
					_, _ = c.Read(make([]byte, 1)) // until the probe gives up
				}
			}()
			within := 10 * time.Second
			if tc.answer == "" {
				within = 50 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), within)
			defer cancel()
			address := ln.Addr().String()
			err = Probe{Path: "/health"}.http1(ctx, address)(ctx, address)
			if got := errorText(err); (tc.want == "") != (got == "") || !strings.Contains(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
