package server

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/pando-pki/pando/internal/alarm"
)

// ops answers whether the process lives (/healthz), whether it can work (/readyz:
// the store answers, and no other process has this node's name), and what it counts
// (/metrics).
func (s *Server) ops() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /readyz", s.ready)
	mux.Handle("GET /metrics", s.metrics.Handler())
	return mux
}

// ready fails where the store takes no write of this node, which can then do nothing
// but answer about status. It does not fail for alarms: a node that takes requests is
// of use while they stand, and its peers have the same.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if err := s.issuance.Ready(ctx); err != nil {
		s.log.WarnContext(ctx, "not ready", "error", err)
		http.Error(w, "not ready; the log says why", http.StatusServiceUnavailable)
		return
	}
	critical := 0
	for _, a := range s.alarms.All() {
		if a.Severity == alarm.Critical {
			critical++
		}
	}
	if critical > 0 {
		fmt.Fprintf(w, "ready, with critical alarms: %d ('pando alarms' says which)\n", critical)
		return
	}
	fmt.Fprintln(w, "ready")
}
