package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/weir-lb/weir/gateway/internal/proxy"
)

// Explanation says how a request was decided, or would be.
type Explanation = proxy.Explanation

// ExplainRequest is the body of POST /api/v1/explain: a request that nobody sends.
type ExplainRequest struct {
	Method   string            `json:"method,omitempty"`
	URL      string            `json:"url"` // http://host/path?query
	Headers  map[string]values `json:"headers,omitempty"`
	ClientIP string            `json:"client_ip,omitempty"`
}

// values are those of a header field: in JSON one text, or a list.
type values []string

// UnmarshalJSON implements json.Unmarshaler.
func (v *values) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*v = values{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(v))
}

// Add adds a header field.
func (r *ExplainRequest) Add(name, value string) {
	if r.Headers == nil {
		r.Headers = map[string]values{}
	}
	r.Headers[name] = append(r.Headers[name], value)
}

const (
	maxExplainBody = 1 << 20 // bytes
	shownByDefault = 32      // explanations
)

// postExplain says what would become of a request.
func (g *Gateway) postExplain(w http.ResponseWriter, r *http.Request) {
	var req ExplainRequest
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxExplainBody))
	d.DisallowUnknownFields()
	if err := d.Decode(&req); err != nil {
		writeError(w, http.StatusBadRequest, fmt.Errorf("got no request to explain: %w; want {\"method\", \"url\", \"headers\", \"client_ip\"}", err))
		return
	}
	header := http.Header{}
	for name, vs := range req.Headers {
		for _, v := range vs {
			header.Add(name, v)
		}
	}
	e, err := g.data.Explain(proxy.ExplainRequest{Method: req.Method, URL: req.URL, Header: header, ClientIP: req.ClientIP})
	if err != nil {
		writeError(w, http.StatusBadRequest, err)
		return
	}
	writeJSON(w, http.StatusOK, e)
}

// getExplain returns the last requests that asked to be explained, the newest first.
func (g *Gateway) getExplain(w http.ResponseWriter, r *http.Request) {
	n := shownByDefault
	if text := r.URL.Query().Get("n"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 1 {
			writeError(w, http.StatusBadRequest, errors.New("n is "+strconv.Quote(text)+", want a number above 0"))
			return
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"explanations": g.data.Explanations(n)})
}
