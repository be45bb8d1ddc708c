package torture

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Result is what came of a case.
type Result struct {
	*Client
	Seen []Seen // by the endpoint, in the order of their heads
}

// Play plays a case through the gateway at that address, whose only endpoint is e, and returns nil if all that must hold
// does.
func Play(gateway string, e *Endpoint, c *Case) error {
	b := e.begin(c.Endpoint)
	r, err := c.play(gateway, e, b)
	if err != nil {
		err = fmt.Errorf("%w%s", err, r.story())
	}
	if r.Client != nil {
		_ = r.conn.Close()
	}
	canaryErr := askCanary(gateway, c.Name)
	e.begin(nil)
	e.hangUp()
	for range 20 { // the gateway learns that its connections are gone
		if askCanary(gateway, c.Name) == nil {
			break
		}
	}
	if canaryErr != nil {
		return errors.Join(err, fmt.Errorf("another client's request after it: %w", canaryErr))
	}
	return err
}

func (c *Case) play(gateway string, e *Endpoint, b *baton) (r *Result, err error) {
	r = new(Result)
	client, err := dial(gateway, b)
	if err != nil {
		return r, err
	}
	r.Client = client
	defer func() {
		if p := recover(); p != nil { // the gateway's process must be stopped all the same
			err = fmt.Errorf("the case panicked: %v", p)
		}
	}()
	if c.Client != nil {
		c.Client(client)
	} else {
		method, _, _ := strings.Cut(c.Send, " ")
		client.Asks(method)
		client.Send(c.Send)
		client.Read(max(c.Answers, 1))
		client.More(quiet)
	}
	if client.Garbage != nil {
		return r, fmt.Errorf("the client cannot read what it got: %w", client.Garbage)
	}
	if client.problem != "" {
		return r, errors.New(client.problem)
	}
	var half string
	r.Seen, half = e.settled()
	if half != "" {
		return r, fmt.Errorf("the endpoint has half a request: %s", quote(half))
	}
	for _, s := range r.Seen {
		if s.Request == nil {
			return r, fmt.Errorf("net/http cannot read what the endpoint got: %w: %s", s.Err, quote(s.Raw))
		}
		if s.Request.RequestURI == "/smuggled" {
			return r, fmt.Errorf("the endpoint saw a smuggled request: %s", quote(s.Raw))
		}
	}
	return r, c.Hold(r)
}

// askCanary sends two requests on a connection of its own, which must get the responses that are theirs.
func askCanary(gateway, name string) error {
	c, err := dial(gateway, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	for _, n := range []string{"1", "2"} {
		path := canary + letters(name) + "/" + n
		c.Send("GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n")
		if !c.Read(1) {
			return fmt.Errorf("got no response: %w", errors.Join(c.Ended, c.Garbage))
		}
		if r := c.Responses[len(c.Responses)-1]; r.StatusCode != http.StatusOK || r.Text != path {
			return fmt.Errorf("got %d %s, want 200 %s", r.StatusCode, quote(r.Text), path)
		}
	}
	return nil
}

// letters keeps what may stand in any path.
func letters(name string) string {
	return strings.Map(func(r rune) rune {
		if '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
			return r
		}
		return -1
	}, name)
}

// story says in a few lines what happened.
func (r *Result) story() string {
	var b strings.Builder
	if r.Client == nil {
		return ""
	}
	for _, s := range append(r.Interim, r.Responses...) {
		fmt.Fprintf(&b, "\n  client got %d %v %s", s.StatusCode, s.Header, quote(s.Text))
		if s.Err != nil {
			fmt.Fprintf(&b, " and then %v", s.Err)
		}
	}
	if r.Ended != nil {
		fmt.Fprintf(&b, "\n  client's connection ended: %v", r.Ended)
	}
	if r.Stalled {
		fmt.Fprintf(&b, "\n  client waited for %v", patience)
	}
	for _, s := range r.Seen {
		fmt.Fprintf(&b, "\n  endpoint saw on %d: %s body %s whole %v", s.Conn, quote(s.Raw), quote(s.Body), s.Whole)
		if s.Err != nil {
			fmt.Fprintf(&b, " and then %v", s.Err)
		}
	}
	return b.String()
}

func quote(s string) string {
	if len(s) > 600 {
		return fmt.Sprintf("%q... (%d bytes)", s[:600], len(s))
	}
	return fmt.Sprintf("%q", s)
}

// ends waits for the end of the connection, reading and noting the responses that come before it.
func (r *Result) ends() bool {
	deadline := time.Now().Add(patience)
	for r.Ended == nil && time.Now().Before(deadline) && r.Garbage == nil {
		if r.More(time.Until(deadline)) && !r.Read(1) && r.Stalled {
			_, _ = io.Copy(io.Discard, r.br)
		}
	}
	return r.Ended != nil
}
