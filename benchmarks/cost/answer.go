//go:build linux

package cost

import (
	"bytes"
	"fmt"
	"strconv"
)

// answer is a response that arrives in pieces. It must say its length.
type answer struct {
	head   []byte // as long as it has not ended
	status int    // 0 as long as the head has not ended
	size   int    // of the body
	left   int    // of it
}

// untouched reports whether nothing of it has arrived.
func (a *answer) untouched() bool { return a.status == 0 && len(a.head) == 0 }

// take takes what came, and reports whether the response has ended with it.
func (a *answer) take(b []byte) (over bool, err error) {
	if a.status == 0 {
		if len(a.head) > 0 {
			a.head = append(a.head, b...)
			b = a.head
		}
		end := bytes.Index(b, endOfHead)
		if end < 0 {
			if len(a.head) == 0 {
				a.head = bytes.Clone(b)
			}
			return false, nil
		}
		if err := a.begin(b[:end]); err != nil {
			return false, err
		}
		b = b[end+len(endOfHead):]
		a.head = nil
	}
	if a.left -= len(b); a.left < 0 {
		return false, fmt.Errorf("response: got %d bytes after its end", -a.left)
	}
	return a.left == 0, nil
}

// begin reads status and length of a head.
func (a *answer) begin(head []byte) (err error) {
	if len(head) < 12 || string(head[:7]) != "HTTP/1." {
		return fmt.Errorf("response: got %.60q, want HTTP/1.1 and a status", head)
	}
	if a.status, err = strconv.Atoi(string(head[9:12])); err != nil || a.status == 0 {
		return fmt.Errorf("response: got status %q", head[9:12])
	}
	for {
		i := bytes.IndexByte(head, '\n')
		if i < 0 {
			return fmt.Errorf("response %d: got no Content-Length, want one", a.status)
		}
		head = head[i+1:]
		const name = "content-length:"
		if len(head) > len(name) && head[0]|0x20 == 'c' && bytes.EqualFold(head[:len(name)], []byte(name)) {
			value, _, _ := bytes.Cut(head[len(name):], []byte("\r"))
			if a.size, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil || a.size < 0 {
				return fmt.Errorf("response %d: got Content-Length %q", a.status, value)
			}
			a.left = a.size
			return nil
		}
	}
}
