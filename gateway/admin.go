package gateway

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/weir-lb/weir/gateway/internal/cluster"
)

// adminHandler serves health, metrics and the API. Everything but /healthz and /readyz needs the token, if one is set.
// Without one it answers only requests that name a loopback host, so that no web page can reach it by rebinding a DNS
// name of its own to 127.0.0.1.
func (g *Gateway) adminHandler() http.Handler {
	api := http.NewServeMux()
	api.Handle("GET /metrics", promhttp.HandlerFor(g.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}))
	api.HandleFunc("GET /api/v1/clusters", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]any{"clusters": g.Clusters()})
	})
	api.HandleFunc("GET /api/v1/clusters/{name}", g.getCluster)
	api.HandleFunc("POST /api/v1/clusters/{name}/endpoints/{id}/{action}", g.postEndpoint)
	api.HandleFunc("POST /api/v1/clusters/{name}/failback", g.postFailBack)
	api.HandleFunc("GET /api/v1/policies", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]any{"policies": g.Policies()})
	})
	api.HandleFunc("GET /api/v1/policies/{name}", g.getPolicy)
	api.HandleFunc("PUT /api/v1/policies/{name}", g.putPolicy)
	api.HandleFunc("POST /api/v1/policies/{name}/rollback", g.postPolicy(g.Rollback))
	api.HandleFunc("POST /api/v1/policies/{name}/promote", g.postPolicy(g.Promote))
	api.HandleFunc("GET /api/v1/certificates", g.getCertificates)
	api.HandleFunc("POST /api/v1/explain", g.postExplain)
	api.HandleFunc("GET /api/v1/explain", g.getExplain)
	api.HandleFunc("GET /api/v1/events", g.getEvents)
	api.HandleFunc("GET /debug/pprof/", pprof.Index)
	api.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	api.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	api.HandleFunc("POST /api/v1/reload", func(w http.ResponseWriter, _ *http.Request) {
		if err := g.Reload(); err != nil {
			writeError(w, http.StatusUnprocessableEntity, err)
			return
		}
		writeJSON(w, http.StatusOK, map[string]any{"reloaded": true})
	})

	open := http.NewServeMux()
	open.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]any{"status": "ok"})
	})
	open.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		r := g.Ready()
		status := http.StatusOK
		if !r.Ready {
			status = http.StatusServiceUnavailable
		}
		writeJSON(w, status, r)
	})
	open.Handle("/", g.authorized(http.NewCrossOriginProtection().Handler(api)))
	return open
}

func (g *Gateway) authorized(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := g.adminToken()
		if token == "" {
			if !loopbackHost(r.Host) || !loopbackConn(r) {
				writeError(w, http.StatusForbidden, errors.New("without a token the admin API answers to loopback hosts only"))
				return
			}
			next.ServeHTTP(w, r)
			return
		}
		scheme, got, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		a, b := sha256.Sum256([]byte(got)), sha256.Sum256([]byte(token))
		if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(a[:], b[:]) != 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="weir"`)
			writeError(w, http.StatusUnauthorized, errors.New("want Authorization: Bearer with the token of admin.token_file"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func loopbackHost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.IsLoopback()
}

// loopbackConn reports whether the request came to a loopback address. A connection may be older than the address that is
// configured now.
func loopbackConn(r *http.Request) bool {
	a, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return ok && a.IP.IsLoopback()
}

func (g *Gateway) getCluster(w http.ResponseWriter, r *http.Request) {
	c := g.cluster(r.PathValue("name"))
	if c == nil {
		writeError(w, http.StatusNotFound, errors.New("no cluster "+r.PathValue("name")))
		return
	}
	writeJSON(w, http.StatusOK, c.Status())
}

// sentAt is when a beat was sent, by the clock of its endpoint; zero if it does not say.
func sentAt(r *http.Request) (time.Time, error) {
	text := r.URL.Query().Get("time")
	if text == "" {
		return time.Time{}, nil
	}
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil || ms <= 0 {
		return time.Time{}, fmt.Errorf("time: got %q, want milliseconds since 1970", text)
	}
	return time.UnixMilli(ms), nil
}

// postFailBack is the operator's word that traffic may go back to where it belongs.
func (g *Gateway) postFailBack(w http.ResponseWriter, r *http.Request) {
	c := g.cluster(r.PathValue("name"))
	if c == nil {
		writeError(w, http.StatusNotFound, errors.New("no cluster "+r.PathValue("name")))
		return
	}
	if err := c.FailBack(); err != nil {
		writeError(w, http.StatusConflict, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (g *Gateway) getPolicy(w http.ResponseWriter, r *http.Request) {
	p := g.policy(r.PathValue("name"))
	if p == nil {
		writeError(w, http.StatusNotFound, fmt.Errorf("policy %q: %w", r.PathValue("name"), errNoPolicy))
		return
	}
	s := g.describe(p)
	s.Shadow = g.shadowOf(p)
	s.Events = g.events.of(p.name)
	writeJSON(w, http.StatusOK, s)
}

// postEndpoint is drain, eject and readmit, the operator's word on an endpoint, and beat, the endpoint's own.
func (g *Gateway) postEndpoint(w http.ResponseWriter, r *http.Request) {
	c := g.cluster(r.PathValue("name"))
	if c == nil {
		writeError(w, http.StatusNotFound, errors.New("no cluster "+r.PathValue("name")))
		return
	}
	status := http.StatusNoContent
	var err error
	switch id := r.PathValue("id"); r.PathValue("action") {
	case "drain":
		err = c.SetOverride(id, cluster.ForceDrain)
	case "eject":
		err = c.SetOverride(id, cluster.ForceDown)
	case "readmit":
		err = c.SetOverride(id, cluster.NoOverride)
	case "beat":
		var sent time.Time
		if sent, err = sentAt(r); err != nil {
			writeError(w, http.StatusBadRequest, err)
			return
		}
		var known bool
		if known, err = c.Beat(id, sent); !known {
			status = http.StatusAccepted // discovery has not reported it yet
		}
	default:
		writeError(w, http.StatusNotFound, errors.New("no action "+r.PathValue("action")+", want drain, eject, readmit or beat"))
		return
	}
	var unknown *cluster.UnknownEndpointError
	switch {
	case errors.As(err, &unknown):
		writeError(w, http.StatusNotFound, err)
	case err != nil:
		writeError(w, http.StatusConflict, err)
	default:
		w.WriteHeader(status)
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Cache-Control", "no-store")
	writeBody(w, status, "application/json", v)
}

func writeError(w http.ResponseWriter, status int, err error) {
	writeBody(w, status, "application/problem+json", map[string]any{
		"type": "about:blank", "title": http.StatusText(status), "status": status, "detail": err.Error(),
	})
}

func writeBody(w http.ResponseWriter, status int, contentType string, v any) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // an error is that the client left
}

// newAdminServer bounds what a slow or hostile client of the admin API can hold.
func newAdminServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10,
	}
}
