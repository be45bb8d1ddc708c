package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Service is an instance to register with the agent, as its API has it.
type Service struct {
	ID      string
	Name    string
	Address string `json:",omitempty"` // "": that of the agent's node
	Port    int
	Tags    []string          `json:",omitempty"`
	Meta    map[string]string `json:",omitempty"`
	Weights *Weights          `json:",omitempty"`
	Check   *Check            `json:",omitempty"` // nil: a TTL check of an hour that passes
}

// Weights of an instance by its status.
type Weights struct{ Passing, Warning int }

// Check is a TTL check, which says what it was told last.
type Check struct {
	TTL    string
	Status string
}

// Register adds or replaces an instance.
func (a *Agent) Register(ctx context.Context, s Service) error {
	if s.Check == nil {
		s.Check = &Check{TTL: "1h", Status: "passing"}
	}
	return a.call(ctx, http.MethodPut, "/v1/agent/service/register", s, nil)
}

// Deregister removes an instance.
func (a *Agent) Deregister(ctx context.Context, id string) error {
	return a.call(ctx, http.MethodPut, "/v1/agent/service/deregister/"+url.PathEscape(id), nil, nil)
}

// Pass makes the instance's check pass.
func (a *Agent) Pass(ctx context.Context, id string) error { return a.check(ctx, "pass", id) }

// Warn makes the instance's check warn.
func (a *Agent) Warn(ctx context.Context, id string) error { return a.check(ctx, "warn", id) }

// Fail makes the instance's check critical.
func (a *Agent) Fail(ctx context.Context, id string) error { return a.check(ctx, "fail", id) }

func (a *Agent) check(ctx context.Context, verb, id string) error {
	return a.call(ctx, http.MethodPut, "/v1/agent/check/"+verb+"/service:"+url.PathEscape(id), nil, nil)
}

// Maintenance puts an instance into maintenance, or takes it out.
func (a *Agent) Maintenance(ctx context.Context, id string, on bool) error {
	return a.call(ctx, http.MethodPut,
		"/v1/agent/service/maintenance/"+url.PathEscape(id)+"?enable="+strconv.FormatBool(on), nil, nil)
}

// JoinWAN makes the agent's datacenter and that of other one federation.
func (a *Agent) JoinWAN(ctx context.Context, other *Agent) error {
	return a.call(ctx, http.MethodPut, "/v1/agent/join/127.0.0.1:"+strconv.Itoa(other.ports[3])+"?wan=1", nil, nil)
}

// call makes one call of the agent's API. in and out are JSON; nil is no body.
func (a *Agent) call(ctx context.Context, method, path string, in, out any) error {
	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, a.Addr()+path, &body)
	if err != nil {
		return err
	}
	if a.opts.Token != "" {
		req.Header.Set("X-Consul-Token", a.opts.Token)
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("consul agent: %s %s: %s: %s", method, path, resp.Status, strings.TrimSpace(string(text)))
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}
