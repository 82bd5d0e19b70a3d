package metrics

import (
	"cmp"
	"net/http"
	"strconv"
	"time"
)

// Count counts the requests of a listener. The route is the request's Pattern, as
// the router behind it left it.
func (m *Metrics) Count(listener string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun, out := time.Now(), &answer{ResponseWriter: w}
		defer func() { // also for an answer that was cut short
			route := cmp.Or(r.Pattern, "none")
			m.requests.WithLabelValues(listener, route, strconv.Itoa(cmp.Or(out.status, http.StatusOK))).Inc()
			m.took.WithLabelValues(listener, route).Observe(time.Since(begun).Seconds())
		}()
		next.ServeHTTP(out, r)
	})
}

// An answer remembers its status.
type answer struct {
	http.ResponseWriter
	status int
}

// Unwrap lets http.ResponseController reach the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteHeader sends the status; informational ones are not the answer's.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= http.StatusOK {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}
