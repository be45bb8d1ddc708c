package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// maxModule bounds a module, in bytes (docs/ABI.md, section 7).
const maxModule = 8 << 20

// putPolicy takes the body as the module of a policy.
func (g *Gateway) putPolicy(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if g.policy(name) == nil {
		writeError(w, http.StatusNotFound, fmt.Errorf("policy %q: %w", name, errNoPolicy))
		return
	}
	module, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxModule))
	if err != nil {
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			writeError(w, http.StatusRequestEntityTooLarge, fmt.Errorf("the module has more than %d bytes", maxModule))
			return
		}
		writeError(w, http.StatusBadRequest, fmt.Errorf("the module did not arrive: %w", err))
		return
	}
	s, err := g.Put(r.Context(), name, module)
	writeSwap(w, s, err)
}

// postPolicy is what can be done with a policy that has no body.
func (g *Gateway) postPolicy(act func(context.Context, string) (Swap, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s, err := act(r.Context(), r.PathValue("name"))
		writeSwap(w, s, err)
	}
}

// writeSwap answers what became of a change of one policy.
func writeSwap(w http.ResponseWriter, s Swap, err error) {
	switch {
	case err == nil:
		writeJSON(w, http.StatusOK, s)
	case errors.Is(err, errNoPolicy):
		writeError(w, http.StatusNotFound, err)
	case errors.Is(err, errNoPrevious), errors.Is(err, errNoShadow):
		writeError(w, http.StatusConflict, err)
	case errors.Is(err, errClosed):
		writeError(w, http.StatusServiceUnavailable, err)
	default:
		writeRefusal(w, err)
	}
}

// writeRefusal answers 422 with the step at which a module was refused. The version that served before serves on.
func writeRefusal(w http.ResponseWriter, err error) {
	body := map[string]any{
		"type": "about:blank", "title": http.StatusText(http.StatusUnprocessableEntity),
		"status": http.StatusUnprocessableEntity, "detail": err.Error(),
	}
	if step := stepOf(err); step != "" {
		body["step"] = step
	}
	writeBody(w, http.StatusUnprocessableEntity, "application/problem+json", body)
}
