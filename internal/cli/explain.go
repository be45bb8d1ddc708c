package cli

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/weir-lb/weir/gateway"
)

type explainCmd struct {
	URL       string   `arg:"" help:"Of the request: http://host/path, or /path with -H 'Host: ...'."`
	Header    []string `short:"H" sep:"none" placeholder:"'Name: value'" help:"A header field; may be given several times."`
	Method    string   `short:"X" default:"GET" help:"The method (${default})."`
	Client    string   `placeholder:"IP" help:"Whom the request comes from (127.0.0.1)."`
	Admin     string   `default:"127.0.0.1:9180" env:"WEIR_ADMIN_ADDRESS" placeholder:"HOST:PORT" help:"Admin address of the gateway (${default})."`
	TokenFile string   `type:"path" env:"WEIR_ADMIN_TOKEN_FILE" placeholder:"FILE" help:"Holds the token of the admin API."`
	JSON      bool     `name:"json" help:"Print the gateway's answer as it is."`
}

// Run asks a running gateway what it would do with a request. Nothing is sent upstream.
func (c explainCmd) Run(s *streams) error {
	req := gateway.ExplainRequest{Method: c.Method, URL: c.URL, ClientIP: c.Client}
	for _, h := range c.Header {
		name, value, ok := strings.Cut(h, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return fmt.Errorf("header %q, want 'Name: value'", h)
		}
		req.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	body, err := json.Marshal(req)
	if err != nil {
		return err
	}
	answer, err := c.ask(body)
	if err != nil {
		return err
	}
	if c.JSON {
		_, err = s.out.Write(answer)
		return err
	}
	var e gateway.Explanation
	if err := json.Unmarshal(answer, &e); err != nil {
		return fmt.Errorf("%s answers what is no explanation (is that a gateway's admin address?): %w", c.Admin, err)
	}
	return printExplanation(s.out, &e)
}

// maxExplainAnswer bounds what is read of an answer, in bytes.
const maxExplainAnswer = 16 << 20

func (c explainCmd) ask(body []byte) ([]byte, error) {
	if strings.HasPrefix(c.Admin, "https://") {
		return nil, fmt.Errorf("--admin: got %s, want HOST:PORT, for the admin API speaks HTTP", c.Admin)
	}
	address := strings.TrimSuffix(strings.TrimPrefix(c.Admin, "http://"), "/")
	if strings.HasPrefix(address, ":") { // as a gateway's configuration may have it
		address = "127.0.0.1" + address
	}
	r, err := http.NewRequest(http.MethodPost, "http://"+address+"/api/v1/explain", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if c.TokenFile != "" {
		token, err := os.ReadFile(c.TokenFile)
		if err != nil {
			return nil, err
		}
		r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	client := http.Client{Timeout: 30 * time.Second}
	resp, err := client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("no gateway answers at %s: %w", c.Admin, errors.Unwrap(err))
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxExplainAnswer))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		var problem struct{ Detail string }
		_ = json.Unmarshal(answer, &problem) // whoever answers may not be Weir
		return nil, fmt.Errorf("%s answers %s: %s", c.Admin, resp.Status, cmp.Or(problem.Detail, "is that a gateway's admin address?"))
	}
	return answer, nil
}

// printExplanation tells people what a gateway told.
func printExplanation(out io.Writer, e *gateway.Explanation) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s http://%s%s\tfrom %s\n", e.Method, e.Host, e.Path, e.Client)
	if e.Cluster != "" {
		fmt.Fprintf(w, "  route\t%s\n  cluster\t%s, %d of %d endpoints get traffic\n", e.Route, e.Cluster, e.Up, e.Of)
		fmt.Fprintf(w, "  policy\t%s\n  key\t%s\n", versionName(e.Policy, e.Digest), keyOf(e))
	}
	for i, x := range e.Excluded {
		fmt.Fprintf(w, "  %s\t%s: %s\n", first(i, "not"), x.Endpoint, x.Reason)
	}
	for i, d := range e.Decisions {
		fmt.Fprintf(w, "  %s\t%s\n", first(i, "decided"), decided(e, i, d.Endpoint))
	}
	for i, a := range e.Attempts {
		fmt.Fprintf(w, "  %s\t%d. %s at %s\n", first(i, "tried"), i+1, a.Endpoint, a.Address)
	}
	switch {
	case e.Problem != "":
		fmt.Fprintf(w, "  answer\t%d %s, of the gateway's own\n", e.Status, e.Problem)
	case len(e.Attempts) > 1:
		fmt.Fprintf(w, "  answer\tthat of the first, if it answers; each further one is tried if those before are reset\n")
	case len(e.Attempts) == 1:
		fmt.Fprintf(w, "  answer\tthat of the endpoint\n")
	}
	if e.Cut {
		fmt.Fprintf(w, "  \tthere was more than is shown\n")
	}
	return w.Flush()
}

// first returns the word for the first line of several.
func first(i int, word string) string {
	if i > 0 {
		return ""
	}
	return word
}

func versionName(name, digest string) string {
	if digest == "" {
		return name + " (built in)"
	}
	return name + "@" + digest[:min(12, len(digest))]
}

func keyOf(e *gateway.Explanation) string {
	switch {
	case e.Sticky != "":
		return "a cookie that names " + e.Sticky
	case e.Keyed:
		return "yes"
	}
	return "none"
}

// decided puts one decision into a line.
func decided(e *gateway.Explanation, i int, endpoint string) string {
	d := e.Decisions[i]
	line := fmt.Sprintf("%s: %s", d.Call, d.Result)
	if endpoint != "" {
		line += ", " + endpoint
	}
	if d.Policy != "" {
		line += ", by " + versionName(d.Policy, d.Digest)
	}
	if d.Fallback != "" {
		line += fmt.Sprintf(", by the fallback %s since %s", d.Fallback, cmp.Or(d.Why, "the policy did not"))
	}
	if d.Reason != 0 {
		line += fmt.Sprintf(", reason %d", d.Reason)
	}
	if d.Fuel > 0 {
		line += fmt.Sprintf(", %d fuel", d.Fuel)
	}
	return line + fmt.Sprintf(", %v", time.Duration(d.Nanos))
}
