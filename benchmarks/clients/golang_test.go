package clients

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// runGo checks each case with Go's own client.
func runGo(t *testing.T, s *site, w way) results {
	protocols, major := new(http.Protocols), 1
	switch w {
	case tls2:
		protocols.SetHTTP2(true)
		major = 2
	case plain2:
		protocols.SetUnencryptedHTTP2(true)
		major = 2
	default:
		protocols.SetHTTP1(true)
	}
	transport := &http.Transport{TLSClientConfig: s.roots.Clone(), Protocols: protocols, DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	c := goClient{&http.Client{Transport: transport, Timeout: patience}, s.base(w), major}
	data := bytes.Repeat([]byte("0123456789abcdef"), 6400)
	sum, err := Sum(bytes.NewReader(data))
	must(t, err)
	noise, err := Sum(Noise(largeSize))
	must(t, err)
	return results{
		"get":     c.asks("GET", "/hello", nil, 200, Hello),
		"post":    c.asks("POST", "/echo", bytes.NewReader(data), 200, fmt.Sprintf("%d false %s", len(data), sum)),
		"chunked": c.asks("POST", "/echo", io.MultiReader(bytes.NewReader(data)), 200, fmt.Sprintf("%d true %s", len(data), sum)),
		"missing": c.asks("GET", "/missing", nil, 404, "404 page not found\n"),
		"head": c.reads("HEAD", "/hello", func(r *http.Response) error {
			return want(r.ContentLength, int64(len(Hello)))
		}),
		"large": c.reads("GET", fmt.Sprintf("/large?n=%d", largeSize), func(r *http.Response) error {
			got, err := Sum(r.Body)
			if err != nil {
				return err
			}
			return want(got, noise)
		}),
		"gzip": c.reads("GET", "/gzip", func(r *http.Response) error {
			z, err := gzip.NewReader(r.Body)
			if err != nil {
				return err
			}
			text, err := io.ReadAll(z)
			if err != nil {
				return err
			}
			return want(string(text), Text)
		}),
		"reuse": c.reuse(),
		"trailers": c.reads("GET", "/trailers", func(r *http.Response) error {
			if _, err := io.ReadAll(r.Body); err != nil {
				return err
			}
			return want(r.Trailer.Get("Checked"), "yes")
		}),
		"events": c.reads("GET", "/events?run="+runID(t), func(r *http.Response) error {
			n := 0
			for lines := bufio.NewScanner(r.Body); lines.Scan(); {
				if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
					if err := want(data, fmt.Sprint(n)); err != nil {
						return err
					}
					if err := c.asks("GET", fmt.Sprintf("/seen?run=%s&n=%d", runID(t), n), nil, 204, ""); err != nil {
						return err
					}
					n++
				}
			}
			return want(n, Events)
		}),
	}
}

type goClient struct {
	*http.Client
	base  string
	major int // version of HTTP
}

func (c goClient) reads(method, path string, check func(*http.Response) error) error {
	return c.sends(method, path, nil, check)
}

func (c goClient) sends(method, path string, body io.Reader, check func(*http.Response) error) error {
	q, err := http.NewRequest(method, c.base+path, body)
	if err != nil {
		return err
	}
	q.Header.Set("TE", "trailers")
	q.Header.Set("Accept-Encoding", "gzip")
	r, err := c.Do(q)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if r.ProtoMajor != c.major {
		return fmt.Errorf("got %s, want HTTP/%d", r.Proto, c.major)
	}
	return check(r)
}

func (c goClient) asks(method, path string, body io.Reader, status int, text string) error {
	return c.sends(method, path, body, func(r *http.Response) error {
		got, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		return want(fmt.Sprint(r.StatusCode, string(got)), fmt.Sprint(status, text))
	})
}

func (c goClient) reuse() error {
	first := ""
	for range 5 {
		err := c.reads("GET", "/port", func(r *http.Response) error {
			port, err := io.ReadAll(r.Body)
			if first == "" {
				first = string(port)
			}
			if err != nil {
				return err
			}
			return want(string(port), first)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
