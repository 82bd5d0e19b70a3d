// Package server puts the parts together: it opens the store and the keys, binds
// the listeners, runs the workers, and shuts all of it down in order.
package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/audit"
	"github.com/pando-pki/pando/internal/auditlog"
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/enrolauth"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/expiry"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/keypool"
	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/keystore/soft"
	"github.com/pando-pki/pando/internal/limit"
	"github.com/pando-pki/pando/internal/lotreport"
	"github.com/pando-pki/pando/internal/metrics"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/publish"
	"github.com/pando-pki/pando/internal/quota"
	"github.com/pando-pki/pando/internal/registry"
	"github.com/pando-pki/pando/internal/retention"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/signer"
	"github.com/pando-pki/pando/internal/stat"
	"github.com/pando-pki/pando/internal/statuscheck"
	"github.com/pando-pki/pando/internal/store/sqlstore"
	"github.com/pando-pki/pando/internal/trace"
	"github.com/pando-pki/pando/internal/trust"
	"github.com/pando-pki/pando/internal/validator"
	"github.com/pando-pki/pando/internal/visits"
)

// A Server is one node. Close it, or Run it to its end.
type Server struct {
	cfg     Config
	log     *slog.Logger
	machine machine

	alarms      *alarm.Board
	store       *sqlstore.Store
	tokens      *access.Tokens
	hierarchy   *hierarchy.Service
	issuance    *issuance.Service
	keyPool     *keypool.Pool
	registry    *registry.Service
	lotReports  *lotreport.Service
	trace       *trace.Service
	enroll      *enroll.Service
	batch       *batch.Service
	revocation  *revocation.Service
	audit       *auditlog.Service
	jobs        *revocation.Jobs
	credentials *credentials
	registrars  *registrars
	expiry      *expiry.Service
	indexer     *hierarchy.Indexer
	retention   *retention.Service
	trust       *trust.Service
	secrets     *enrolauth.Service
	validators  *validator.Service
	sealer      *soft.KEK
	visits      *visits.Book
	purged      map[string]*stat.Purges
	office      *access.Office
	quotas      *quota.Service
	approvals   *approval.Service
	metrics     *metrics.Metrics
	publisher   *publish.Publisher
	checker     *statuscheck.Checker
	limits      *limit.Limits
	family      pki.FamilyOf
	listeners   *listeners
	closing     sync.Once
}

// New opens everything and binds the listeners, but serves nothing before Run.
// cfg is taken with its defaults. version is what the API says of itself.
func New(ctx context.Context, cfg Config, version string, log *slog.Logger) (*Server, error) {
	return newServer(ctx, cfg, version, log, machine{now: time.Now, elapsed: elapsed()})
}

// A machine is what the server takes from where it runs.
type machine struct {
	now     pki.Clock
	elapsed func() time.Duration                      // a clock that nobody sets; see issuance.Config
	keys    func(keystore.Provider) keystore.Provider // what stands before software keys; nil is nothing
}

// now is the time for everything but what watches this node's clock: a clock that has
// jumped dates no revocation and no CRL, and lets nothing expire.
func (s *Server) now() time.Time {
	if s.issuance == nil { // before it is made, which is before anything runs
		return s.machine.now()
	}
	return s.issuance.Steady()
}

func newServer(ctx context.Context, cfg Config, version string, log *slog.Logger, m machine) (_ *Server, err error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, log: log, machine: m, alarms: alarm.NewBoard(m.now), visits: visits.NewBook(), purged: newPurged()}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	gate := audit.NewGate()
	if s.store, err = sqlstore.Open(ctx, cfg.Database(), sqlstore.Options{Gate: gate, Alarms: s.alarms, Log: s.log}); err != nil {
		return nil, err
	}
	s.family = hierarchy.NewFamilies(s.store).Of
	s.limits = newLimits(cfg.Limits, s.family, s.now)
	keys, kek, err := s.openKeys(ctx, m.keys)
	if err != nil {
		return nil, err
	}
	s.sealer = kek
	signatures := signer.New(keys)
	archives := &archives{}
	if err := s.openAudit(ctx, signatures, gate, archives); err != nil {
		return nil, err
	}
	s.tokens = access.NewTokens(s.store, s.now)
	certified, principals := &certified{}, &enrolauth.Principals{Tokens: s.tokens}
	s.approvals = approval.New(approval.Config{Store: s.store, Principals: principals, Certificates: certified, Alarms: s.alarms, Now: s.now, Log: s.log})
	s.tokens.Heed(s.approvals)
	if err := s.wireRetention(); err != nil {
		return nil, err
	}
	archives.Archives = s.retention
	if err := s.wire(ctx, signatures, kek); err != nil {
		return nil, err
	}
	certified.Certificates, principals.Secrets = s.trust, s.secrets
	s.metrics = metrics.New(metrics.Config{
		Store: s.store, Issuance: s.issuance, Keys: s.keyPool, Refused: s.enroll.Refused(), Visits: s.visits, Signatures: signatures.Times(),
		Revocation: s.revocation.Stats(), Retention: s.retention.Stats, Approvals: s.approvals.Stats(), Purged: s.purged, Validators: s.validators, LotReports: s.lotReports.Signed(), Registry: s.registry.Stats(), Indexer: s.indexer.Stats(), Audit: s.audit.Stats(), Publisher: s.publisher, Checker: s.checker.Stats(), Limits: s.limits,
		Connections: func() map[string]metrics.Connections { return s.listeners.connections() }, Alarms: s.alarms, Now: m.now, Log: log, Version: version,
	})
	s.listeners, err = s.listen(version)
	return s, err
}

// openKeys loads the key-encryption keys that the configuration names, and sees
// that they are those of the keys in the store. It returns the deployment's, too.
func (s *Server) openKeys(ctx context.Context, wrap func(keystore.Provider) keystore.Provider) (keys *keystore.Keystore, deployment *soft.KEK, err error) {
	deployment, err = soft.LoadKEK(s.cfg.KeySource(s.cfg.Keys.Encryption))
	if err != nil {
		return nil, nil, err
	}
	tenants := make(map[pki.TenantID]*soft.KEK)
	for tenant, source := range s.cfg.Keys.Tenants {
		if tenants[tenant], err = soft.LoadKEK(s.cfg.KeySource(source)); err != nil {
			return nil, nil, fmt.Errorf("key-encryption key of the tenant %s: %w", tenant, err)
		}
	}
	sealed := soft.New(s.store, deployment, tenants, s.now)
	if err := sealed.Check(ctx); err != nil {
		return nil, nil, err
	}
	var provider keystore.Provider = sealed
	if wrap != nil {
		provider = wrap(sealed)
	}
	return keystore.New(map[string]keystore.Provider{soft.Scheme: provider}), deployment, nil
}

// wire makes the services, each from those below it.
func (s *Server) wire(ctx context.Context, keys *signer.Signer, kek *soft.KEK) error {
	responders := &responders{}
	published := &published{}
	s.revocation = revocation.New(revocation.Config{
		Store: s.store, Signer: keys, Issuers: s.store, Responders: responders, Publisher: published, Gate: s.approvals, Alarms: s.alarms, Now: s.now, Log: s.log,
		LintCRL: policy.LintCRL, CRLLife: time.Duration(s.cfg.Status.CRLLife), OCSPLife: time.Duration(s.cfg.Status.OCSPLife),
	})
	s.jobs = revocation.NewJobs(revocation.JobsConfig{Store: s.store, VA: s.revocation, Gate: s.approvals, Family: s.family, Now: s.now, Log: s.log})
	var err error
	s.issuance, err = issuance.New(ctx, issuance.Config{
		Store: s.store, Signer: keys, Issuers: s.store, Node: s.cfg.Node, Now: s.machine.now, Elapsed: s.machine.elapsed, Alarms: s.alarms, Log: s.log, Family: s.family,
	})
	if err != nil {
		return err
	}
	subordinates := &subordinates{}
	s.hierarchy = hierarchy.New(hierarchy.Config{
		Store: s.store, Revocations: s.store, CRLs: s.revocation, Keys: keys, RA: subordinates, CA: s.issuance, Gate: s.approvals, Now: s.now,
	})
	s.approvals.Serve(s.hierarchy.Executors(), s.retention.Executors(), s.jobs.Executors())
	s.registry = registry.New(registry.Config{Store: s.store, Now: s.now, CursorKey: kek.CursorKey(), Revoked: s.revocation.Changed})
	s.keyPool = keypool.New(keypool.Config{Ahead: keypool.Ahead(), Do: s.issuance.Do, Family: s.family, Log: s.log})
	byName := &validatorNames{}
	s.enroll = enroll.New(enroll.Config{Store: s.store, Directory: s.hierarchy, CA: s.issuance, Registry: s.registry, Gate: s.approvals, Keys: s.keyPool, Now: s.now, Visits: s.visits, Validators: byName, Sealer: kek})
	subordinates.RA = s.enroll
	spool, err := batch.OpenSpool(s.cfg.Spool())
	if err != nil {
		return err
	}
	s.batch = batch.New(batch.Config{Store: s.store, RA: s.enroll, Gate: s.approvals, Spool: spool, Family: s.family, Now: s.now, Log: s.log})
	s.lotReports = lotreport.New(lotreport.Config{Store: s.store, Batches: s.batch, Signer: keys, Now: s.now, Closed: s.registry.Forget})
	s.trust = trust.New(trust.Config{Store: s.store, Directory: s.hierarchy, Gate: s.approvals, Now: s.now})
	settings, err := s.validatorSettings()
	if err != nil {
		return err
	}
	s.validators = validator.New(validator.Config{Validators: settings, Store: s.store, Sealer: kek, RA: s.enroll, Alarms: s.alarms, Now: s.now, Log: s.log})
	byName.Validators = s.validators
	s.secrets = enrolauth.New(enrolauth.Config{Store: s.store, Registry: s.registry, Tokens: s.tokens, Trust: s.trust, Tenants: s.hierarchy, Family: s.family, Alarms: s.alarms, Visits: s.visits, Now: s.now,
		Validators: s.validators, Sealer: kek, Keyed: kek})
	s.office = access.NewOffice(access.OfficeConfig{Store: s.store, Gate: s.approvals, Now: s.now, Changed: func() { s.tokens.Forget(); s.trust.Forget() }})
	s.indexer = hierarchy.NewIndexer(hierarchy.IndexerConfig{Store: s.store, Family: s.family, Alarms: s.alarms, Now: s.now, Log: s.log})
	s.expiry = expiry.New(expiry.Config{Store: s.store, Directory: s.hierarchy, Alarms: s.alarms, Now: s.now, Log: s.log})
	s.quotas = quota.New(quota.Config{Store: s.store, Alarms: s.alarms, Gate: s.approvals, Now: s.now, Log: s.log})
	s.approvals.Serve(s.quotas.Executors(), s.revocation.Executors(), s.enroll.Executors(), s.batch.Executors(), s.trust.Executors(), approval.Giving(s.office))
	s.trace = trace.New(trace.Config{Registry: s.registry, Batches: s.batch, Jobs: s.jobs, Chains: s.hierarchy, Store: s.store})
	s.credentials = &credentials{store: s.store, keys: keys, ra: s.enroll, now: s.now, log: s.log}
	responders.store, responders.credentials = s.store, s.credentials
	s.registrars = &registrars{store: s.store, chains: s.hierarchy, ra: s.enroll, credentials: s.credentials, alarms: s.alarms, now: s.now}
	targets, err := s.cfg.targets()
	if err != nil {
		return err
	}
	s.publisher = publish.New(publish.Config{Targets: targets, Source: s.revocation, Chains: s.hierarchy, Alarms: s.alarms, Log: s.log})
	published.Publisher = s.publisher
	checked := make(map[string]statuscheck.Target)
	for name, target := range targets {
		checked[name] = target
	}
	s.checker = statuscheck.New(statuscheck.Config{
		Store: s.store, Authority: s.revocation, Chains: s.hierarchy, Publisher: s.publisher, Targets: checked, Alarms: s.alarms, Now: s.now, Log: s.log,
		Every: time.Duration(s.cfg.Status.CheckEvery), Networks: s.cfg.Status.CheckNetworks,
	})
	return nil
}

// validatorNames breaks the circle between the RA, whose endpoints name validators, and the
// validators, which are told what the RA issued.
type validatorNames struct{ enroll.Validators }

// published breaks the circle between revocation, which tells of its CRLs, and the
// publisher, which reads them.
type published struct{ revocation.Publisher }

// archives breaks the circle between the log, which has leaves from archives, and
// retention, which holds what it archives against the log.
type archives struct{ auditlog.Archives }

// subordinates breaks the circle between the hierarchy, which has authorities
// below online ones enrolled, and the RA, which asks the hierarchy for lines.
type subordinates struct{ hierarchy.RA }

// certified is the service that knows whom certificates prove; it is made after the
// one that asks it.
type certified struct{ approval.Certificates }

// Run serves until ctx ends, then stops taking requests, finishes what is in
// flight and closes the store.
func (s *Server) Run(ctx context.Context) error {
	// Issuance outlives the rest: requests that were taken are finished first.
	issuing, stopIssuing := context.WithCancel(context.WithoutCancel(ctx))
	issued := make(chan error, 1)
	go func() { issued <- s.issuance.Run(issuing) }()

	g, running := errgroup.WithContext(ctx)
	g.Go(func() error {
		select { // a node that was fenced stops altogether
		case err := <-issued:
			issued <- err
			return err
		case <-running.Done():
			return nil
		}
	})
	g.Go(func() error { return s.audit.Run(running) })
	g.Go(func() error { return s.batch.Run(running) })
	g.Go(func() error { return s.keyPool.Run(running) })
	g.Go(func() error { return s.revocation.RunCRL(running) })
	g.Go(func() error { return s.revocation.RunResponders(running) })
	g.Go(func() error { return s.registrars.Run(running) })
	g.Go(func() error { return s.publisher.Run(running) })
	g.Go(func() error { return s.checker.Run(running) })
	g.Go(func() error { return s.jobs.Run(running) })
	g.Go(func() error { return s.listeners.renew(running) })
	g.Go(func() error { return s.readLimits(running) })
	g.Go(func() error { return s.expiry.Run(running) })
	g.Go(func() error { return s.indexer.Run(running) })
	g.Go(func() error { return s.quotas.Run(running) })
	g.Go(func() error { return s.housekeeper().run(running) })
	g.Go(func() error { return s.retention.Run(running) })
	g.Go(func() error { return s.approvals.Run(running) })
	g.Go(func() error { return s.secrets.Run(running) })
	g.Go(func() error { return s.validators.Run(running) })
	g.Go(func() error {
		s.listeners.tryEnsure(running) // so that nobody is shown the bootstrap certificate without need
		return s.listeners.serve(running)
	})
	s.log.Info("serving", "https", s.URL("https"), "devices", s.URL("devices"), "http", s.URL("http"), "ops", s.URL("ops"), "data", s.cfg.Data)
	if s.cfg.TLS.Endpoint == "" {
		s.log.Info("the listeners have a self-signed certificate until tls.endpoint is set: name it to clients, as 'pando --server ... --tls-ca ... tenant create'",
			"server", s.URL("https"), "tls-ca", filepath.Join(s.cfg.Data, BootstrapFile))
	}
	err := g.Wait()
	stopIssuing()
	err = errors.Join(err, <-issued)
	if finish := s.audit.Finish(context.WithoutCancel(ctx)); finish != nil {
		s.log.Warn("the end of the audit log is not anchored; the next start does it", "error", finish)
	}
	err = errors.Join(err, s.Close())
	s.log.Info("stopped")
	return err
}

// Close gives back what New opened; Run does so itself. A second call does
// nothing.
func (s *Server) Close() error {
	var errs []error
	s.closing.Do(func() {
		if s.listeners != nil {
			errs = append(errs, s.listeners.close())
		}
		if s.store != nil {
			errs = append(errs, s.store.Close())
		}
	})
	return errors.Join(errs...)
}

// FirstToken makes the token of the deployment's first platform operator;
// Conflict where there is one already.
func (s *Server) FirstToken(ctx context.Context) (pki.Secret, error) {
	_, secret, err := s.tokens.First(ctx)
	return secret, err
}

// PublishStatus makes the OCSP responders and the CRLs that are due, at once. Run
// must be running: the responders' certificates are issued like all others.
func (s *Server) PublishStatus(ctx context.Context) error {
	err := s.revocation.EnsureResponders(ctx)
	_, crls := s.revocation.PublishDue(ctx)
	return errors.Join(err, crls)
}

// RenewListeners gets the listeners' certificate from its endpoint now, where it
// is due. Until it succeeds the listeners have the bootstrap certificate.
func (s *Server) RenewListeners(ctx context.Context) error { return s.listeners.ensure(ctx) }

// URL returns the base URL of a listener: https, devices, http or ops.
func (s *Server) URL(listener string) string { return s.listeners.url(listener) }

// NewLogger returns the logger that the configuration asks for, to standard
// error.
func NewLogger(c Log) (*slog.Logger, error) { return newLogger(c, os.Stderr) }

func newLogger(c Log, to io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		return nil, pki.Errorf(pki.Malformed, "log level %.20q: it is debug, info, warn or error", c.Level)
	}
	options := &slog.HandlerOptions{Level: level}
	switch c.Format {
	case "text":
		return slog.New(slog.NewTextHandler(to, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(to, options)), nil
	default:
		return nil, pki.Errorf(pki.Malformed, "log format %.20q: it is text or json", c.Format)
	}
}
