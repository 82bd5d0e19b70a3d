package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pando-pki/pando/internal/metrics"
	"github.com/pando-pki/pando/internal/proto/est"
	"github.com/pando-pki/pando/internal/proto/scep"
	"github.com/pando-pki/pando/internal/proto/status"
	"github.com/pando-pki/pando/internal/restapi"
)

// At shutdown requests in flight have shutdownGrace to end by themselves; then
// their contexts end, which cuts streams and uploads short, to be taken up again
// by their clients; shutdownPatience later their connections are closed.
const (
	shutdownGrace    = 3 * time.Second
	shutdownPatience = 30 * time.Second
)

// headerPatience is how long a client may take for a request's header, and for the TLS
// handshake: a small device takes seconds for the signatures that it verifies in one, and
// a plant whose machines start at once has the server take them. An idle connection, which
// costs the server as much, may be there for longer.
const headerPatience = 20 * time.Second

// listeners are the four ways in. They share one certificate.
type listeners struct {
	s           *Server
	certificate atomic.Pointer[tls.Certificate]
	ways        []*way
}

// A way is one listener with its HTTP server.
type way struct {
	name   string
	scheme string
	socket *bounded
	server *http.Server
}

// listen binds all listeners, or none.
func (s *Server) listen(version string) (*listeners, error) {
	l := &listeners{s: s}
	if err := l.bootstrap(); err != nil {
		return nil, err
	}
	api := restapi.Config{
		Hierarchy: s.hierarchy, Enroll: s.enroll, Batch: s.batch, Revocation: s.revocation, RevocationJobs: s.jobs, Status: s.store, Log: s.audit,
		Registry: s.registry, Trace: s.trace, LotReports: s.lotReports, Alarms: s.alarms, Clock: s.issuance, Expiry: s.expiry, Retention: s.retention, Trust: s.trust, Secrets: s.secrets, Visits: s.visits, Access: s.office, Quotas: s.quotas, Approvals: s.approvals, Now: s.now, Limits: s.limits, Tokens: s.tokens, Logger: s.log, Version: version,
	}
	ofDevices := api
	ofDevices.Certificates = true
	open := status.New(status.Config{Validator: s.revocation, Chains: s.hierarchy, Limiter: s.limits, Now: s.now, Log: s.log})
	devices := est.New(est.Config{RA: s.enroll, Prover: s.secrets, Default: s.cfg.EST.Default, Limits: s.limits, Log: s.log})
	enrols := scep.New(scep.Config{
		RA: s.enroll, Authorities: s.registrars, Prover: s.secrets, Store: s.store, Certificates: s.store, CRLs: s.revocation, Sealer: s.sealer, Limits: s.limits, Now: s.now, Log: s.log,
	})
	nothing := http.NotFoundHandler()
	err := errors.Join(
		l.add("https", s.cfg.Listen.HTTPS, l.tlsConfig(tls.NoClientCert), restapi.New(api)),
		l.add("devices", s.cfg.Listen.Devices, l.tlsConfig(tls.RequestClientCert), devices.Handler(restapi.New(ofDevices))),
		l.add("http", s.cfg.Listen.HTTP, nil, open.Handler(enrols.Handler(nothing))),
		l.add("ops", s.cfg.Listen.Ops, nil, s.ops()),
	)
	if err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

// add binds a listener. Time-outs and sizes bound what a client can hold.
func (l *listeners) add(name, address string, secure *tls.Config, handler http.Handler) error {
	socket, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listener %s: %w (choose another address with --%s)", name, err, name)
	}
	w := &way{name: name, scheme: "http", socket: newBounded(socket, l.s.cfg.Limits), server: &http.Server{
		Handler:           l.s.metrics.Count(name, handler),
		ReadHeaderTimeout: headerPatience,
		ReadTimeout:       30 * time.Second, // uploads and streams of results prolong their own
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(l.s.log.With("listener", name).Handler(), slog.LevelDebug),
	}}
	if secure != nil {
		w.scheme, w.server.TLSConfig = "https", secure
	}
	l.ways = append(l.ways, w)
	return nil
}

// serve serves all listeners until ctx ends, then lets requests in flight end.
func (l *listeners) serve(ctx context.Context) error {
	requests, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	g, running := errgroup.WithContext(ctx)
	context.AfterFunc(running, func() { time.AfterFunc(shutdownGrace, cut) })
	for _, w := range l.ways {
		w.server.BaseContext = func(net.Listener) context.Context { return requests }
		g.Go(func() error {
			err := w.serve()
			if errors.Is(err, http.ErrServerClosed) {
				return nil
			}
			return fmt.Errorf("listener %s: %w", w.name, err)
		})
		g.Go(func() error {
			<-running.Done()
			patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownPatience)
			defer cancel()
			if err := w.server.Shutdown(patience); err != nil {
				l.s.log.Warn("requests did not end in time", "listener", w.name, "error", err)
				return w.server.Close()
			}
			return nil
		})
	}
	return g.Wait()
}

func (w *way) serve() error {
	if w.server.TLSConfig != nil {
		return w.server.ServeTLS(w.socket, "", "")
	}
	return w.server.Serve(w.socket)
}

// connections returns those of each listener, by its name.
func (l *listeners) connections() map[string]metrics.Connections {
	all := make(map[string]metrics.Connections, len(l.ways))
	for _, w := range l.ways {
		all[w.name] = w.socket.stats()
	}
	return all
}

func (l *listeners) url(name string) string {
	for _, w := range l.ways {
		if w.name == name {
			return w.scheme + "://" + w.socket.Addr().String()
		}
	}
	return ""
}

func (l *listeners) close() error {
	var errs []error
	for _, w := range l.ways {
		if err := w.socket.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
