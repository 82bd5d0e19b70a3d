// Package trace tells all that is known of one certificate: what was asked for
// and by whom, under which profile and issuer, its place in the product line, and
// what has happened since.
//
// It puts together what other parts keep, and keeps nothing itself.
package trace

import (
	"bytes"
	"context"
	"slices"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/registry"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/tbs"
)

// A Registry finds certificates.
type Registry interface {
	Certificates(ctx context.Context, g access.Permit, q registry.Query, p registry.Paging) (*registry.Certificates, error)
}

// Batches know what was submitted. A request is as tbs.CutKey leaves it, nil where it is
// not kept. Where a row of a retry was refused before, Earlier says.
type Batches interface {
	Earlier(ctx context.Context, g access.Permit, b *batch.Batch, row int64) ([]batch.Attempt, error)
	Submitted(ctx context.Context, g access.Permit, id pki.BatchID, row int64) (b *batch.Batch, cut []byte, err error)
}

// Chains returns the certificates above a certificate.
type Chains interface {
	Chain(ctx context.Context, issuer pki.IssuerID) ([][]byte, error)
}

// Jobs know what revocation jobs were to do, to whoever may see all that they select.
type Jobs interface {
	Glance(ctx context.Context, g access.Permit, id revocation.JobID) (*revocation.Job, error)
}

// Store is read.
type Store interface {
	// Request returns what is kept of the single request that a certificate came
	// from: the request as tbs.CutKey left it, nil for none, and who asked.
	Request(ctx context.Context, issuer pki.IssuerID, serial pki.Serial) (cut []byte, actor string, err error)
	// Entries returns the revocation entries of a serial, the first one first, with the
	// jobs of a tenant that made them.
	Entries(ctx context.Context, tenant pki.TenantID, issuer pki.IssuerID, serial pki.Serial) ([]Entry, error)
	// EventsOn returns up to limit events of a tenant on one of the targets,
	// newest first.
	EventsOn(ctx context.Context, tenant pki.TenantID, targets []string, limit int) ([]pki.Event, error)
	// LogPlace returns where a certificate stands in its issuer's tenant's log.
	LogPlace(ctx context.Context, issuer pki.IssuerID, serial pki.Serial) (LogPlace, error)
	// ChangeOf returns the change of a tenant by which a certificate was approved, of a
	// single request; "" where nobody had to.
	ChangeOf(ctx context.Context, tenant pki.TenantID, issuer pki.IssuerID, serial pki.Serial) (pki.ChangeID, error)
	Change(ctx context.Context, tenant pki.TenantID, id pki.ChangeID) (*approval.Change, error)
	// Archived is NotFound and says where a certificate is that is archived; nil for
	// any other. An issuer of "" is any.
	Archived(ctx context.Context, tenant pki.TenantID, issuer pki.IssuerID, serial pki.Serial) error

	// AuthorityCertificates returns the certificates of a tenant's authorities, with those
	// that they had.
	AuthorityCertificates(ctx context.Context, tenant pki.TenantID) ([]AuthorityCertificate, error)

	Profile(ctx context.Context, ref pki.ProfileRef) (*pki.ProfileVersion, error)
	Device(ctx context.Context, owner pki.TenantID, id pki.DeviceID) (*registry.Device, error)
	Lot(ctx context.Context, tenant pki.TenantID, name string) (*registry.Lot, error)
}

// A LogPlace is where a leaf stands in a log.
type LogPlace struct {
	Index  int64 // from 0; -1 while it has none yet, or it is another tenant's log
	Signed int64 // size of the newest signed checkpoint, which covers the leaf where it is above Index
}

// An AuthorityCertificate is the certificate that an authority has, or had.
type AuthorityCertificate struct {
	ID   pki.AuthorityID
	Name string
	DER  []byte
}

// An Entry is a revocation entry, and what made it.
type Entry struct {
	pki.Revocation
	Job     revocation.JobID // of the tenant that asks; "" where none of its jobs made it
	Unknown bool             // whether a job made it, and which, is not kept: an earlier version stored it, or it was taken over from a CRL
}

// A Job made entries of a certificate.
type Job struct {
	*revocation.Job
	Approved *approval.Change // by which it runs; nil where nobody had to, or the principal may not read approvals there
}

// Config is what a Service is made of; every field is needed.
type Config struct {
	Registry Registry
	Batches  Batches
	Jobs     Jobs
	Chains   Chains
	Store    Store
}

// A Service traces certificates. Its methods are safe for concurrent use.
type Service struct{ cfg Config }

// New returns a Service.
func New(cfg Config) *Service { return &Service{cfg} }

// A Trace is all that is known of one certificate, and of the tenant that asks: where
// one tenant issued it and another owns it, what was asked for, by whom and where it
// belongs is the owner's, and the place in the log is the issuer's.
type Trace struct {
	*registry.Found
	Request   []byte                // DER of what was asked for, with its challenge blanked; nil where it is not kept
	Gone      string                // why there is no Request, of a batch whose rows an earlier version dropped
	Actor     string                // who asked; "" where it is not kept
	Batch     *batch.Batch          // nil for a single request
	Earlier   []batch.Attempt       // of a row of a retry: where it was refused before, the last time first; see batch.Service.Earlier
	Approved  *approval.Change      // by which it, or its batch, was approved; nil where nobody had to, or the principal may not read approvals there
	Version   pki.ProfileVersion    // that it was issued under
	Chain     [][]byte              // above it, up to and with the root
	Device    *registry.Device      // as it is now; nil where none of the tenant's is concerned
	Lot       *registry.Lot         // that it was issued in, as it is now; or nil
	Authority *AuthorityCertificate // whose certificate it is; nil of any other, and of one that the principal may not see
	Others    []*registry.Found     // the device's other certificates, newest first
	More      bool                  // there are more others than maxOthers
	Entries   []Entry               // the first one first
	Jobs      []Job                 // that made them, the newest first, up to maxJobs; without those that the principal may not see
	Events    []pki.Event           // newest first; nil where the principal may not read events
	LogPlace  LogPlace
}

// The bounds of what a trace lists.
const (
	maxOthers = 100
	maxEvents = 200
	maxJobs   = 20
)

// Trace traces a certificate that the permit's tenant issued or owns, by its
// serial and, where several issuers have that, its issuer ("" is any): Conflict
// where it must be named. It needs access.ReadCertificates.
func (s *Service) Trace(ctx context.Context, g access.Permit, issuer pki.IssuerID, serial string) (*Trace, error) {
	found, err := s.Find(ctx, g, issuer, serial)
	if err != nil {
		return nil, err
	}
	seen := *found
	seen.Certificate = seen.SeenBy(g.Tenant())
	t := &Trace{Found: &seen}
	for _, part := range []func(context.Context, access.Permit, *Trace) error{s.request, s.approved, s.authority, s.place, s.history} {
		if err := part(ctx, g, t); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// Find finds a certificate as Trace does. It needs access.ReadCertificates.
func (s *Service) Find(ctx context.Context, g access.Permit, issuer pki.IssuerID, serial string) (*registry.Found, error) {
	if serial == "" {
		return nil, pki.Errorf(pki.Malformed, "which serial number?")
	}
	found, err := s.cfg.Registry.Certificates(ctx, g, registry.Query{Serial: serial, Issuer: issuer}, registry.Paging{Limit: 2})
	switch {
	case err != nil:
		return nil, err
	case len(found.Items) == 0:
		if parsed, err := pki.ParseSerial(serial); err == nil {
			if archived := s.cfg.Store.Archived(ctx, g.Tenant(), issuer, parsed); archived != nil {
				return nil, archived
			}
		}
		return nil, s.notIssued(ctx, g, serial)
	case len(found.Items) > 1:
		return nil, pki.Errorf(pki.Conflict, "several issuers have a certificate with this serial, as %s and %s: name one", found.Items[0].Issuer, found.Items[1].Issuer)
	}
	return found.Items[0], nil
}

// notIssued is why nothing is known of a serial: it may be that of a root, which nobody
// here issued.
func (s *Service) notIssued(ctx context.Context, g access.Permit, serial string) error {
	unknown := pki.Errorf(pki.NotFound, "no certificate with serial %.50q", serial)
	wanted, err := pki.ParseSerial(serial)
	if err != nil {
		return unknown
	}
	root, err := s.authorityOf(ctx, g, func(der []byte) bool {
		parsed, err := tbs.ParseCertificate(der)
		return err == nil && parsed.Serial == wanted
	})
	switch {
	case err != nil:
		return err
	case root != nil:
		return pki.Errorf(pki.NotFound, "no certificate with serial %.50q was issued here: it is that of the authority %q, which 'pando authority show %s' shows", serial, root.Name, root.Name)
	}
	return unknown
}

// authorityOf returns the authority of the permit's tenant with a certificate; nil where
// there is none that the principal may see.
func (s *Service) authorityOf(ctx context.Context, g access.Permit, is func(der []byte) bool) (*AuthorityCertificate, error) {
	reads, refused := g.Principal().Authorize(access.ReadConfiguration, g.Tenant())
	if refused != nil {
		return nil, nil
	}
	all, err := s.cfg.Store.AuthorityCertificates(ctx, g.Tenant())
	if err != nil {
		return nil, err
	}
	for _, a := range all {
		if reads.Covers(access.Scope{Authority: a.Name}) && is(a.DER) {
			return &a, nil
		}
	}
	return nil, nil
}

// request adds what was asked for, and by whom.
func (s *Service) request(ctx context.Context, g access.Permit, t *Trace) error {
	if t.Owner != g.Tenant() {
		return nil
	}
	if t.Certificate.Batch != "" {
		b, cut, err := s.cfg.Batches.Submitted(ctx, g, t.Certificate.Batch, t.Row)
		switch kind := pki.KindOf(err); {
		case err != nil && (kind == pki.NotFound || kind == pki.Forbidden): // which may have rows of product lines that are not shown
			return nil
		case err != nil:
			return err
		}
		if t.Batch, t.Actor = b, b.By; len(cut) == 0 {
			t.Gone = b.RequestGone()
		}
		if t.Earlier, err = s.cfg.Batches.Earlier(ctx, g, b, t.Row); err != nil {
			return err
		}
		return t.restore(cut)
	}
	cut, actor, err := s.cfg.Store.Request(ctx, t.Issuer, t.Serial)
	if err != nil {
		return err
	}
	t.Actor = actor
	return t.restore(cut)
}

// restore sets the request that is kept without the certificate's key; nothing of none.
func (t *Trace) restore(cut []byte) error {
	if len(cut) == 0 {
		return nil
	}
	parsed, err := tbs.ParseCertificate(t.DER)
	if err != nil {
		return err
	}
	t.Request, err = tbs.RestoreKey(cut, parsed.Key.SPKI())
	return err
}

// approved adds who approved it.
func (s *Service) approved(ctx context.Context, g access.Permit, t *Trace) (err error) {
	if t.Owner != g.Tenant() {
		return nil
	}
	var id pki.ChangeID
	if t.Batch != nil {
		id = t.Batch.Change
	} else if id, err = s.cfg.Store.ChangeOf(ctx, t.Owner, t.Issuer, t.Serial); err != nil {
		return err
	}
	t.Approved, err = s.change(ctx, g, id)
	return err
}

// change returns a change of the permit's tenant; nil for "", and where the principal may
// not read it.
func (s *Service) change(ctx context.Context, g access.Permit, id pki.ChangeID) (*approval.Change, error) {
	reads, refused := g.Principal().Authorize(access.ReadApprovals, g.Tenant())
	if id == "" || refused != nil {
		return nil, nil
	}
	c, err := s.cfg.Store.Change(ctx, g.Tenant(), id)
	if err != nil || !reads.Covers(c.Place) {
		return nil, err
	}
	return c, nil
}

// authority adds the profile's version and the chain, and whose certificate it is where it
// is an authority's.
func (s *Service) authority(ctx context.Context, g access.Permit, t *Trace) error {
	v, err := s.cfg.Store.Profile(ctx, t.Profile)
	switch {
	case err == nil:
		t.Version = *v
	case pki.KindOf(err) == pki.NotFound: // of a ceremony, which has profiles of its own
		t.Version.ProfileRef = t.Profile
	default:
		return err
	}
	if t.Chain, err = s.cfg.Chains.Chain(ctx, t.Issuer); err != nil {
		return err
	}
	parsed, unreadable := tbs.ParseCertificate(t.DER)
	if unreadable != nil { // then no authority has it
		return nil
	}
	if ca, _ := parsed.IsCA(); ca {
		t.Authority, err = s.authorityOf(ctx, g, func(der []byte) bool { return bytes.Equal(der, t.DER) })
	}
	return err
}

// place adds the device and its lot as they are now, where that is within the permit,
// and its other certificates.
func (s *Service) place(ctx context.Context, g access.Permit, t *Trace) error {
	if t.Owner != g.Tenant() {
		return nil
	}
	var err error
	if t.Certificate.Lot != "" {
		if t.Lot, err = s.cfg.Store.Lot(ctx, t.Owner, t.Certificate.Lot); err != nil && pki.KindOf(err) != pki.NotFound {
			return err
		}
		if t.Lot != nil && !g.Covers(access.Scope{ProductLine: t.Lot.ProductLine, Site: t.Lot.Site}) {
			t.Lot = nil
		}
	}
	if t.Certificate.Device == "" {
		return nil
	}
	if t.Device, err = s.cfg.Store.Device(ctx, t.Owner, t.Certificate.Device); err != nil && pki.KindOf(err) != pki.NotFound {
		return err
	}
	if t.Device != nil && !g.Covers(access.Scope{ProductLine: t.Device.ProductLine, Site: t.Device.Site}) {
		t.Device = nil // it was moved since
	}
	others, err := s.cfg.Registry.Certificates(ctx, g, registry.Query{Device: t.Certificate.Device}, registry.Paging{Limit: maxOthers + 1})
	if err != nil {
		return err
	}
	t.More = others.Next != ""
	t.Others = slices.DeleteFunc(others.Items, func(f *registry.Found) bool { return f.Issuer == t.Issuer && f.Serial == t.Serial })
	return nil
}

// history adds what happened since, and the place in the log.
func (s *Service) history(ctx context.Context, g access.Permit, t *Trace) error {
	var err error
	if t.Entries, err = s.cfg.Store.Entries(ctx, g.Tenant(), t.Issuer, t.Serial); err != nil {
		return err
	}
	if err := s.jobs(ctx, g, t); err != nil {
		return err
	}
	t.LogPlace.Index = -1
	if t.Tenant == g.Tenant() {
		if t.LogPlace, err = s.cfg.Store.LogPlace(ctx, t.Issuer, t.Serial); err != nil {
			return err
		}
	}
	events, err := g.Principal().Authorize(access.ReadEvents, g.Tenant())
	if err != nil || events.Check(access.ReadEvents) != nil {
		return nil // events are read of the whole tenant
	}
	targets := []string{"certificate:" + string(t.Issuer) + "/" + t.Serial.String()}
	for kind, name := range map[string]string{"device:": string(t.Certificate.Device), "batch:": string(t.Certificate.Batch), "lot:": t.Certificate.Lot} {
		if name != "" && t.Owner == g.Tenant() {
			targets = append(targets, kind+name)
		}
	}
	if t.Authority != nil {
		targets = append(targets, "authority:"+string(t.Authority.ID))
	}
	for _, a := range t.Earlier {
		targets = append(targets, "batch:"+string(a.Batch.ID))
	}
	for _, j := range t.Jobs {
		targets = append(targets, jobTarget(j.ID))
	}
	t.Events, err = s.cfg.Store.EventsOn(ctx, g.Tenant(), targets, maxEvents)
	return err
}

func jobTarget(id revocation.JobID) string { return "revocation:" + string(id) }

// jobs adds the jobs that made its entries.
func (s *Service) jobs(ctx context.Context, g access.Permit, t *Trace) error {
	seen := make(map[revocation.JobID]bool)
	for _, e := range slices.Backward(t.Entries) {
		if e.Job == "" || seen[e.Job] || len(seen) == maxJobs {
			continue
		}
		seen[e.Job] = true
		j, err := s.cfg.Jobs.Glance(ctx, g, e.Job)
		if pki.KindOf(err) == pki.Forbidden { // it may have selected what is not shown
			continue
		}
		if err != nil {
			return err
		}
		// By which change it runs its events say, also to who may not read them here.
		events, err := s.cfg.Store.EventsOn(ctx, g.Tenant(), []string{jobTarget(j.ID)}, maxEvents)
		if err != nil {
			return err
		}
		var change pki.ChangeID
		if i := slices.IndexFunc(events, func(e pki.Event) bool { return e.Change != "" }); i >= 0 {
			change = events[i].Change
		}
		approved, err := s.change(ctx, g, change)
		if err != nil {
			return err
		}
		t.Jobs = append(t.Jobs, Job{j, approved})
	}
	return nil
}
