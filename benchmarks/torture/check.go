package torture

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Check says what does not hold, or nil.
type Check func(*Result) error

func all(checks ...Check) Check {
	return func(r *Result) error {
		for _, c := range checks {
			if err := c(r); err != nil {
				return err
			}
		}
		return nil
	}
}

// either holds if one of the ways in which the RFC lets a gateway go holds.
func either(checks ...Check) Check {
	return func(r *Result) error {
		var errs []error
		for _, c := range checks {
			err := c(r)
			if err == nil {
				return nil
			}
			errs = append(errs, err)
		}
		return fmt.Errorf("none of %d ways: %w", len(checks), errors.Join(errs...))
	}
}

// statuses wants exactly these final responses; a 0 is a connection that was closed instead.
func statuses(want ...int) Check {
	return func(r *Result) error {
		var got []int
		for _, a := range r.Responses {
			got = append(got, a.StatusCode)
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("the client got statuses %v, want %v", got, want)
		}
		return nil
	}
}

// first wants the first final response to have one of these statuses. 0 stands for a connection closed without one.
func first(want ...int) Check {
	return func(r *Result) error {
		got := 0
		if len(r.Responses) > 0 {
			got = r.Responses[0].StatusCode
		} else if r.Ended == nil {
			return errors.New("the client got neither a response nor the end of the connection")
		}
		if !slices.Contains(want, got) {
			return fmt.Errorf("the client got status %d, want one of %v", got, want)
		}
		return nil
	}
}

// single wants one final response at most.
func single(r *Result) error {
	if n := len(r.Responses); n > 1 {
		return fmt.Errorf("the client got %d responses, want one", n)
	}
	return nil
}

// unseen wants that no request reached the endpoint.
func unseen(r *Result) error {
	if len(r.Seen) > 0 {
		return fmt.Errorf("the endpoint saw %d requests, want none", len(r.Seen))
	}
	return nil
}

// unfinished wants that no request reached the endpoint whole.
func unfinished(r *Result) error {
	for _, s := range r.Seen {
		if s.Whole {
			return fmt.Errorf("the endpoint got a whole request %s with body %s, want none that is whole", s.line(), quote(s.Body))
		}
	}
	return nil
}

// saw wants that exactly these requests reached the endpoint whole, each written "METHOD target" and, if it has one, a
// blank and the body.
func saw(want ...string) Check {
	return func(r *Result) error {
		var got []string
		for _, s := range r.Seen {
			l := s.line()
			if s.Body != "" {
				l += " " + s.Body
			}
			if !s.Whole {
				l += " (not whole)"
			}
			got = append(got, l)
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("the endpoint saw %q, want %q", got, want)
		}
		return nil
	}
}

func (s *Seen) line() string { return s.Request.Method + " " + s.Request.RequestURI }

// closes wants the connection to end after the responses.
func closes(r *Result) error {
	n := len(r.Responses)
	if !r.ends() {
		return errors.New("the connection stays open, want it closed")
	}
	if len(r.Responses) > n {
		return fmt.Errorf("another response came: %d %s", r.Responses[n].StatusCode, quote(r.Responses[n].Text))
	}
	return nil
}

// stays wants the connection to be open.
func stays(r *Result) error {
	if r.More(quiet); r.Ended != nil {
		return fmt.Errorf("the connection ended (%v), want it open", r.Ended)
	}
	return nil
}

// refused wants the request answered 400 or with one of these statuses, or the connection closed without an answer, and
// nothing of it to reach the endpoint.
func refused(more ...int) Check {
	return all(first(append(more, 0, http.StatusBadRequest)...), single, unseen)
}

// refusedClosing is refused, and that the connection ends: where the next request begins is not known.
func refusedClosing(more ...int) Check { return all(refused(more...), closes) }

// broken wants a request whose body is malformed to be refused, or abandoned where it had been forwarded already.
func broken(more ...int) Check {
	return all(first(append(more, 0, http.StatusBadRequest, http.StatusBadGateway)...), single, unfinished, closes)
}

// served wants one 200, and exactly this at the endpoint.
func served(want ...string) Check {
	return all(statuses(slices.Repeat([]int{200}, len(want))...), saw(want...))
}

// gets wants the text of response i.
func gets(i int, want string) Check {
	return func(r *Result) error {
		if i >= len(r.Responses) {
			return fmt.Errorf("there is no response %d", i)
		}
		if a := r.Responses[i]; a.Text != want || a.Err != nil {
			return fmt.Errorf("response %d has body %s (%v), want %s", i, quote(a.Text), a.Err, quote(want))
		}
		return nil
	}
}

// cut wants that the client can tell that the first response is not whole, or gets an error instead of it.
func cut(r *Result) error {
	if len(r.Responses) == 0 {
		if r.Ended == nil {
			return errors.New("the client got neither a response nor the end of the connection")
		}
		return nil
	}
	if a := r.Responses[0]; a.StatusCode < 500 && a.Err == nil {
		return fmt.Errorf("the client got a whole %d with body %s, want one that is visibly cut, or 5xx", a.StatusCode, quote(a.Text))
	}
	return nil
}

// forwarded wants a field of the first request that the endpoint saw; "" is one that is not there.
func forwarded(name, want string) Check {
	return func(r *Result) error {
		if len(r.Seen) == 0 {
			return errors.New("the endpoint saw nothing")
		}
		return same("the endpoint got", r.Seen[0].Request.Header, name, want)
	}
}

// relayed is forwarded for the first response.
func relayed(name, want string) Check {
	return func(r *Result) error {
		if len(r.Responses) == 0 {
			return errors.New("the client got no response")
		}
		return same("the client got", r.Responses[0].Header, name, want)
	}
}

func same(who string, h http.Header, name, want string) error {
	if got := strings.Join(h.Values(name), ", "); got != want {
		return fmt.Errorf("%s %s: %q, want %q", who, name, got, want)
	}
	return nil
}

// host wants the Host of the first request that the endpoint saw, with or without a port.
func host(want string) Check {
	return func(r *Result) error {
		if len(r.Seen) == 0 {
			return errors.New("the endpoint saw nothing")
		}
		if got, _, _ := strings.Cut(r.Seen[0].Request.Host, ":"); got != want {
			return fmt.Errorf("the endpoint got Host %q, want %q", got, want)
		}
		return nil
	}
}

// verdict wants what a function finds about the result.
func verdict(what string, ok func(*Result) bool) Check {
	return func(r *Result) error {
		if !ok(r) {
			return errors.New(what)
		}
		return nil
	}
}

// clean wants heads at the endpoint that every parser reads in the same way.
func clean(r *Result) error {
	for _, s := range r.Seen {
		if !plain(s.Raw) {
			return fmt.Errorf("the endpoint got a head that parsers read in different ways: %s", quote(s.Raw))
		}
		if framings(s.Raw) > 1 {
			return fmt.Errorf("the endpoint got a head with two framings: %s", quote(s.Raw))
		}
	}
	return nil
}
