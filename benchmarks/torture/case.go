// Package torture is a table of raw HTTP/1 exchanges through a gateway: what a client sends, byte for byte, what the
// endpoint behind the gateway answers, and what must hold after that. The expectations follow from the RFC section that a
// case names, or from this: no two parsers may read what a gateway passes on in two ways. Wherever the RFC leaves a choice,
// all of it is accepted.
//
// What holds for every case: what reaches the endpoint is read there again by net/http and is a whole request or an aborted
// one, nothing that a client hides in a body or a field arrives as a request, and others get their own responses after it.
package torture

import (
	"fmt"
	"slices"
	"strings"
)

// Case is one row of the table.
type Case struct {
	Name    string // topic and what is sent or answered; unique
	Section string // RFC and section that the expectation follows from

	Send     string          // what the client sends at once
	Answers  int             // how many final responses the client waits for; 1 if 0
	Client   func(*Client)   // what the client does instead of sending Send and reading Answers
	Endpoint func(*Exchange) // what the endpoint does with every request; nil: it reads it whole and answers 200 "ok"
	Hold     Check           // what must hold
	Slow     bool            // a gateway may wait for its own time limit
}

// Cases returns the table in its order.
func Cases() []Case {
	return slices.Concat(
		framing(), chunks(), smuggling(), fields(), hosts(), targets(), versions(), hops(), forwarding(), expectations(),
		responses(), responseFraming(), truncations(), poisonings(), interims(), streams(), upgrades(), pipelines(), limits(),
	)
}

// request returns a head: the request line without the version, Host, these fields, and the empty line.
func request(line string, fields ...string) string {
	return line + " HTTP/1.1\r\nHost: a\r\n" + lines(fields) + "\r\n"
}

// bare is request without Host.
func bare(line string, fields ...string) string { return line + "\r\n" + lines(fields) + "\r\n" }

// response returns a head of a response and what follows it.
func response(status, body string, fields ...string) string {
	return "HTTP/1.1 " + status + "\r\n" + lines(fields) + "\r\n" + body
}

// sized is a whole response with Content-Length.
func sized(status, body string, fields ...string) string {
	return response(status, body, append(fields, fmt.Sprintf("Content-Length: %d", len(body)))...)
}

func lines(fields []string) string {
	var b strings.Builder
	for _, f := range fields {
		b.WriteString(f)
		b.WriteString("\r\n")
	}
	return b.String()
}

// smuggled is a request that no endpoint may ever see as one.
const smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
