package restapi

import (
	"context"
	"crypto/x509"
	"io"
	"iter"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/audit"
	"github.com/pando-pki/pando/internal/auditlog"
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/ceremony"
	"github.com/pando-pki/pando/internal/enrolauth"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/expiry"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/lotreport"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/quota"
	"github.com/pando-pki/pando/internal/registry"
	"github.com/pando-pki/pando/internal/retention"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/trace"
	"github.com/pando-pki/pando/internal/trust"
	"github.com/pando-pki/pando/internal/visits"
)

// Tokens is what the API needs of access.Tokens.
type Tokens interface {
	Authenticate(ctx context.Context, text pki.Secret) (access.Principal, error)
	Create(ctx context.Context, g access.Permit, n access.NewToken) (*access.Token, pki.Secret, error)
	List(ctx context.Context, g access.Permit) ([]*access.Token, error)
	Revoke(ctx context.Context, g access.Permit, id pki.TokenID) error
	Appoint(ctx context.Context, g access.Permit, child pki.TenantID, name string, life time.Duration) (*access.Token, pki.Secret, error)
}

// Hierarchy is what the API needs of hierarchy.Service.
type Hierarchy interface {
	Children
	CreateTenant(ctx context.Context, g access.Permit, n hierarchy.NewTenant) (*pki.Tenant, error)
	Tenants(ctx context.Context, g access.Permit) ([]*pki.Tenant, error)
	SetTenant(ctx context.Context, g access.Permit, n pki.TenantSettings) (*pki.Tenant, error)
	ImportRoot(ctx context.Context, g access.Permit, n hierarchy.NewRoot) (*hierarchy.View, error)
	CreateAuthority(ctx context.Context, g access.Permit, n hierarchy.NewAuthority) (*hierarchy.View, error)
	Authority(ctx context.Context, g access.Permit, nameOrID string) (*hierarchy.View, error)
	Authorities(ctx context.Context, g access.Permit) ([]*hierarchy.View, error)
	Retire(ctx context.Context, g access.Permit, nameOrID string) error
	AddIndexes(ctx context.Context, g access.Permit, nameOrID string, indexes []pki.SearchIndex) (*hierarchy.View, error)
	Rollover(ctx context.Context, g access.Permit, nameOrID string, r hierarchy.Rollover) (*hierarchy.View, error)
	Switch(ctx context.Context, g access.Permit, nameOrID string) (*hierarchy.View, error)
	DropNext(ctx context.Context, g access.Permit, nameOrID string) (*hierarchy.View, error)
	Request(ctx context.Context, g access.Permit, nameOrID string) (*ceremony.Request, error)
	CRLRequest(ctx context.Context, g access.Permit, root string, of pki.IssuerID, days int) (*ceremony.Request, error)
	Install(ctx context.Context, g access.Permit, r *ceremony.Response) (*hierarchy.View, error)
	ActiveChain(ctx context.Context, g access.Permit, nameOrID string) ([][]byte, error)
	Chain(ctx context.Context, issuer pki.IssuerID) ([][]byte, error)
	PublishProfile(ctx context.Context, g access.Permit, source []byte) (*pki.ProfileVersion, error)
	Profile(ctx context.Context, g access.Permit, name string, version int) (*pki.ProfileVersion, error)
	Profiles(ctx context.Context, g access.Permit) ([]*pki.ProfileVersion, error)
	ProfileVersions(ctx context.Context, g access.Permit, name string) ([]*pki.ProfileVersion, error)
	ResolveProfile(ctx context.Context, ref pki.ProfileRef) (*pki.ProfileVersion, error)
	Events(ctx context.Context, g access.Permit, f hierarchy.EventFilter, before string, limit int) (events []pki.Event, next string, err error)
}

// Children is what the API needs of hierarchy.Service for child tenants.
type Children interface {
	CreateChild(ctx context.Context, g access.Permit, id pki.TenantID, organization string) (*pki.Tenant, error)
	Children(ctx context.Context, g access.Permit) ([]*pki.Tenant, error)
	SuspendChild(ctx context.Context, g access.Permit, child pki.TenantID, suspended bool) (*pki.Tenant, error)
	CheckSuspended(ctx context.Context, tenant pki.TenantID) error
	Lend(ctx context.Context, g access.Permit, child pki.TenantID, n hierarchy.NewLoan) (*pki.Loan, error)
	TakeBack(ctx context.Context, g access.Permit, child pki.TenantID, name string) error
	Lent(ctx context.Context, g access.Permit, child pki.TenantID) ([]*pki.Loan, error)
	Loans(ctx context.Context, g access.Permit) ([]*pki.Loan, error)
}

// Enroll is what the API needs of enroll.Service.
type Enroll interface {
	Enroll(ctx context.Context, r enroll.Request) (*pki.Enrollment, error)
	NoteRefusal(ctx context.Context, r enroll.Refusal, err error) error
	CreateEndpoint(ctx context.Context, g access.Permit, n enroll.NewEndpoint) (*pki.Endpoint, error)
	UpdateEndpoint(ctx context.Context, g access.Permit, n enroll.NewEndpoint) (*pki.Endpoint, error)
	Endpoint(ctx context.Context, g access.Permit, name string) (*pki.Endpoint, error)
	Endpoints(ctx context.Context, g access.Permit) ([]*pki.Endpoint, error)
	Certificate(ctx context.Context, g access.Permit, issuer pki.IssuerID, serial pki.Serial) (*pki.Certificate, error)
	BlockKeys(ctx context.Context, g access.Permit, hashes [][32]byte) (added int, err error)
}

// Batch is what the API needs of batch.Service.
type Batch interface {
	Submit(ctx context.Context, g access.Permit, n batch.Submission, body io.Reader) (*batch.Batch, error)
	Issue(ctx context.Context, g access.Permit, id pki.BatchID) (*batch.Batch, error)
	Pause(ctx context.Context, g access.Permit, id pki.BatchID) (*batch.Batch, error)
	Resume(ctx context.Context, g access.Permit, id pki.BatchID) (*batch.Batch, error)
	Cancel(ctx context.Context, g access.Permit, id pki.BatchID) (*batch.Batch, error)
	Retry(ctx context.Context, g access.Permit, id pki.BatchID, kinds []pki.Kind, idempotency string) (*batch.Batch, error)
	Batch(ctx context.Context, g access.Permit, id pki.BatchID) (*batch.Batch, error)
	Batches(ctx context.Context, g access.Permit, before pki.BatchID, limit int) ([]*batch.Batch, error)
	Results(ctx context.Context, g access.Permit, id pki.BatchID, after int64) iter.Seq2[batch.Result, error]
	Archive(ctx context.Context, g access.Permit, id pki.BatchID, after int64, w io.Writer) error
	Watch(ctx context.Context, g access.Permit, id pki.BatchID) iter.Seq2[*batch.Batch, error]
}

// Registry is what the API needs of registry.Service.
type Registry interface {
	CreatePlace(ctx context.Context, g access.Permit, kind registry.PlaceKind, name, description string) (*registry.Place, error)
	DescribePlace(ctx context.Context, g access.Permit, kind registry.PlaceKind, name, description string) (*registry.Place, error)
	Place(ctx context.Context, g access.Permit, kind registry.PlaceKind, name string) (*registry.Place, error)
	Places(ctx context.Context, g access.Permit, kind registry.PlaceKind, p registry.Paging) (registry.Page[*registry.Place], error)
	CreateLot(ctx context.Context, g access.Permit, l registry.Lot) (*registry.Lot, error)
	ChangeLot(ctx context.Context, g access.Permit, name string, ch registry.LotChange) (*registry.Lot, error)
	Lot(ctx context.Context, g access.Permit, name string) (*registry.Lot, error)
	Lots(ctx context.Context, g access.Permit, f registry.LotFilter, p registry.Paging) (registry.Page[*registry.Lot], error)
	Device(ctx context.Context, g access.Permit, id pki.DeviceID) (*registry.Device, error)
	Devices(ctx context.Context, g access.Permit, f registry.DeviceFilter, p registry.Paging) (registry.Page[*registry.FoundDevice], error)
	Certificates(ctx context.Context, g access.Permit, q registry.Query, p registry.Paging) (*registry.Certificates, error)
	ChangeDevice(ctx context.Context, g access.Permit, id pki.DeviceID, act registry.Act, note string) (*registry.Device, error)
	ImportDevices(ctx context.Context, g access.Permit, format registry.ImportFormat, defaults pki.Placement, body io.Reader) (*registry.Import, error)
	Strict(ctx context.Context, g access.Permit) (bool, error)
	SetStrict(ctx context.Context, g access.Permit, strict bool) error
}

// LotReports is what the API needs of lotreport.Service.
type LotReports interface {
	Close(ctx context.Context, g access.Permit, lot string, scrapped *int64) (string, error)
	Report(ctx context.Context, g access.Permit, lot string) (string, error)
	Counts(ctx context.Context, g access.Permit, lot string) (*lotreport.Counts, error)
	Key(ctx context.Context, g access.Permit) (string, error)
}

// Trace is what the API needs of trace.Service.
type Trace interface {
	Trace(ctx context.Context, g access.Permit, issuer pki.IssuerID, serial string) (*trace.Trace, error)
	Find(ctx context.Context, g access.Permit, issuer pki.IssuerID, serial string) (*registry.Found, error)
}

// Revocation is what the API needs of revocation.Service.
type Revocation interface {
	Revoke(ctx context.Context, g access.Permit, issuer pki.IssuerID, serial pki.Serial, reason pki.Reason) (revocation.Status, error)
	Release(ctx context.Context, g access.Permit, issuer pki.IssuerID, serial pki.Serial) (revocation.Status, error)
	Lists(ctx context.Context, g access.Permit, cursor string, limit int) ([]revocation.ListState, string, error)
	Renew(ctx context.Context, g access.Permit, issuer pki.IssuerID, shard int) error
	OCSPResponders(ctx context.Context, g access.Permit) ([]revocation.ResponderState, error)
}

// RevocationJobs is what the API needs of revocation.Jobs.
type RevocationJobs interface {
	Create(ctx context.Context, g access.Permit, n revocation.NewJob) (j *revocation.Job, existed bool, err error)
	Begin(ctx context.Context, g access.Permit, id revocation.JobID) (*revocation.Job, error)
	Pause(ctx context.Context, g access.Permit, id revocation.JobID) (*revocation.Job, error)
	Resume(ctx context.Context, g access.Permit, id revocation.JobID) (*revocation.Job, error)
	Cancel(ctx context.Context, g access.Permit, id revocation.JobID) (*revocation.Job, error)
	Job(ctx context.Context, g access.Permit, id revocation.JobID) (*revocation.Job, error)
	List(ctx context.Context, g access.Permit, before revocation.JobID, limit int) ([]*revocation.Job, error)
	Counts(ctx context.Context, g access.Permit, id revocation.JobID, after revocation.ShardCounts, limit int) ([]revocation.ShardCounts, error)
	Watch(ctx context.Context, g access.Permit, id revocation.JobID) iter.Seq2[*revocation.Job, error]
}

// Clock is what the API needs of issuance.Service.
type Clock interface {
	Clock(ctx context.Context, g access.Permit) (*issuance.Clock, error)
	AcceptClock(ctx context.Context, g access.Permit) (*issuance.Clock, error)
}

// Trust is what the API needs of trust.Service.
type Trust interface {
	Add(ctx context.Context, g access.Permit, n trust.NewAnchor) (*trust.Anchor, error)
	Anchors(ctx context.Context, g access.Permit) ([]*trust.Anchor, error)
	Update(ctx context.Context, g access.Permit, name string, scopes []access.Scope) (*trust.Anchor, error)
	Remove(ctx context.Context, g access.Permit, name string) error
	Authenticate(ctx context.Context, presented []*x509.Certificate, tenant pki.TenantID) (access.Principal, error)
}

// Approvals is what the API needs of approval.Service.
type Approvals interface {
	Changes(ctx context.Context, g access.Permit, state approval.State, before pki.ChangeID, limit int) (all []*approval.Change, next pki.ChangeID, err error)
	Change(ctx context.Context, who access.Principal, id pki.ChangeID) (*approval.Change, error)
	Decide(ctx context.Context, g access.Permit, id pki.ChangeID, v approval.Verdict, seen [32]byte, comment string) (*approval.Change, error)
	Withdraw(ctx context.Context, who access.Principal, id pki.ChangeID, comment string) (*approval.Change, error)
	Rules(ctx context.Context, g access.Permit) ([]approval.Rule, error)
	SetRule(ctx context.Context, g access.Permit, r approval.Rule) (*approval.Rule, error)
}

// Access is what the API needs of access.Office.
type Access interface {
	OwnRoles(ctx context.Context, p access.Permit) ([]*access.OwnRole, error)
	CreateRole(ctx context.Context, p access.Permit, r access.OwnRole) (*access.OwnRole, error)
	ChangeRole(ctx context.Context, p access.Permit, r access.OwnRole) (*access.OwnRole, error)
	DeleteRole(ctx context.Context, p access.Permit, name access.Role) error
	Grants(ctx context.Context, p access.Permit, principal string, role access.Role) ([]access.Grant, error)
	Give(ctx context.Context, p access.Permit, principal string, role access.Role, s access.Scope) (*access.Grant, error)
	Take(ctx context.Context, p access.Permit, id string) error
	Explain(ctx context.Context, p access.Permit, principal string, permission access.Permission, s access.Scope) (*access.Explanation, error)
}

// Secrets is what the API needs of enrolauth.Service.
type Secrets interface {
	Create(ctx context.Context, g access.Permit, n enrolauth.NewSecret) (*enrolauth.Secret, pki.Secret, error)
	Secrets(ctx context.Context, g access.Permit, f enrolauth.Filter, before pki.SecretID, limit int) (all []*enrolauth.Secret, next pki.SecretID, err error)
	Secret(ctx context.Context, g access.Permit, id pki.SecretID) (*enrolauth.Secret, *enrolauth.Use, error)
	Revoke(ctx context.Context, g access.Permit, id pki.SecretID) error
}

// Visits is what the API needs of visits.Book.
type Visits interface {
	Watch(ctx context.Context, label string, follow bool) iter.Seq[visits.Visit]
}

// Expiry is what the API needs of expiry.Service.
type Expiry interface {
	Report(ctx context.Context, g access.Permit, window time.Duration) (*expiry.Report, error)
}

// Retention is what the API needs of retention.Service.
type Retention interface {
	Setting(ctx context.Context, g access.Permit) (*retention.Setting, error)
	Set(ctx context.Context, g access.Permit, keep time.Duration) (*retention.Setting, error)
	Preview(ctx context.Context, g access.Permit) (retention.Due, error)
	Begin(ctx context.Context, g access.Permit) (retention.Due, error)
	Archives(ctx context.Context, g access.Permit, before retention.ID, limit int) ([]*retention.Archive, error)
	Archive(ctx context.Context, g access.Permit, id retention.ID) (*retention.Archive, error)
}

// Quotas is what the API needs of quota.Service.
type Quotas interface {
	Quotas(ctx context.Context, g access.Permit) ([]*quota.Quota, error)
	Set(ctx context.Context, g access.Permit, t quota.Target, limit int64) (*quota.Quota, error)
	Remove(ctx context.Context, g access.Permit, t quota.Target) error
}

// Alarms is what the API needs of alarm.Board.
type Alarms interface {
	Of(tenant pki.TenantID) []alarm.Alarm
	All() []alarm.Alarm
}

// Status tells what is known of a serial; a revocation.Store does.
type Status interface {
	Status(ctx context.Context, issuer pki.IssuerID, serial pki.Serial) (revocation.Status, error)
}

// Log is what the API needs of auditlog.Service.
type Log interface {
	Checkpoint(ctx context.Context, g access.Permit) (note, key string, err error)
	ProveCertificate(ctx context.Context, g access.Permit, issuer pki.IssuerID, serial pki.Serial) (*audit.Inclusion, error)
	ProveEvent(ctx context.Context, g access.Permit, id string) (*audit.Inclusion, error)
	ProveConsistency(ctx context.Context, g access.Permit, from, to int64) (*audit.Consistency, error)
	Entries(ctx context.Context, g access.Permit, from int64, limit int) (entries []audit.Entry, next int64, err error)
	Export(ctx context.Context, g access.Permit, since, until time.Time) (*auditlog.Export, error)
}
