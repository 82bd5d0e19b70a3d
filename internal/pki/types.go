package pki

import "time"

// A Tenant is an organisation with its own hierarchies, people and devices.
type Tenant struct {
	ID           TenantID
	Organization string // the O of the subjects that its profiles name
	Created      time.Time
	Approvals    bool     // the default rules of approval hold where it set none of its own
	Parent       TenantID // that made it and may suspend it; "" is the platform
	Suspended    bool     // by its parent
	TenantSettings
}

// TenantSettings are what the platform operator sets for a tenant. The zero value
// of each is what the deployment has.
type TenantSettings struct {
	PerSecond int  // requests to the API, in the long run
	Burst     int  // and at once
	Children  *int // how many children it may have; nil: hierarchy.DefaultChildren
}

// A FamilyOf names the family of a tenant by the tenant at its top: a parent and its
// children are one family. What is shared out fairly is shared out to families first,
// or whoever makes children would multiply their share. Nil: each tenant is its own.
type FamilyOf func(TenantID) TenantID

// Of returns the family of a tenant.
func (f FamilyOf) Of(t TenantID) TenantID {
	if f == nil {
		return t
	}
	return f(t)
}

// A Loan lets a child tenant issue from one of its parent's authorities, under one of
// its parent's profiles.
type Loan struct {
	Parent, Child TenantID
	Name          string // a slug, unique within the child
	Authority     AuthorityID
	AuthorityName string
	Profile       string // by its name
	Version       int    // the profile's when it was lent last; later ones are lent with it
	Limit         int64  // how many certificates it is for, once and for all
	Used          int64  // how many were issued
	Created       time.Time
}

// A Mode says whether a hierarchy is relied on. A test authority chains only to
// a test root.
type Mode string

// The modes.
const (
	Production Mode = "production"
	Test       Mode = "test"
)

// An AuthorityKind is what an authority is within its hierarchy.
type AuthorityKind string

// The kinds of authority.
const (
	Root         AuthorityKind = "root"
	Intermediate AuthorityKind = "intermediate"
	Issuing      AuthorityKind = "issuing"
)

// An AuthorityState is where an authority is in its life.
type AuthorityState string

// The states of an authority.
const (
	AuthorityPending AuthorityState = "pending" // has a key and a request, no certificate yet
	AuthorityActive  AuthorityState = "active"
	AuthorityRetired AuthorityState = "retired" // signs no certificates any more; status goes on
)

// A SignCheck says when a signature is checked against the intended bytes before
// release. CA certificates, CRLs and signatures by hardware keys always are.
type SignCheck string

// The sign checks.
const (
	CheckAlways   SignCheck = "always"
	CheckHardware SignCheck = "hardware" // not for end-entity certificates under a software key
)

// A SearchIndex is an index of an authority's certificates.
type SearchIndex string

// The search indexes.
const (
	IndexFingerprint SearchIndex = "fingerprint"
	IndexSubject     SearchIndex = "subject"
	IndexExpiry      SearchIndex = "expiry"
)

// SearchIndexes lists them.
func SearchIndexes() []SearchIndex {
	return []SearchIndex{IndexExpiry, IndexFingerprint, IndexSubject}
}

// An Indexing is the making of indexes that an authority did not have: what is recorded
// has them at once, earlier certificates get them bit by bit, and searches use them when
// all have.
type Indexing struct {
	Indexes []SearchIndex
	// Done of the store's Total rows were looked at; both are 0 before it has begun. They
	// are those of all tenants, and so nobody's to know: Percent is shown.
	Done, Total int64
}

// Percent says how far it is, 0 before it has begun.
func (x *Indexing) Percent() int {
	if x.Total == 0 {
		return 0
	}
	return int(100 * x.Done / x.Total)
}

// An Authority is a tenant's CA over its life.
type Authority struct {
	ID         AuthorityID
	Tenant     TenantID
	Name       string // a slug, unique in the tenant
	CommonName string // of its certificates
	Kind       AuthorityKind
	Mode       Mode
	Parent     AuthorityID // "" for a root
	Profile    string      // of its own certificate, as "issuing-ca"
	KeyKind    KeyKind
	StatusURL  string // base of OCSP, CRL and CA certificate URLs, without a slash at the end
	Shards     int    // CRL shards of its issuers, >= 1
	Deltas     bool   // its issuers, which then have one shard, have delta CRLs
	SignCheck  SignCheck

	// RandomSerials has serials wholly random (SerialRandom), for an authority
	// whose serials must not tell the moment of issue.
	RandomSerials bool

	// Indexes are the indexes of all its certificates that searches need and that
	// every recording pays for; none unless asked for.
	Indexes []SearchIndex
	// Indexing is about indexes that it gets later, nil where none is being made.
	Indexing *Indexing

	State   AuthorityState
	Created time.Time
}

// An IssuerState is where an issuer is in its life.
type IssuerState string

// The states of an issuer. An authority has one active issuer at most, and one at most
// that is pending or next.
const (
	IssuerPending IssuerState = "pending" // has a key and a request, no certificate yet
	IssuerNext    IssuerState = "next"    // is published, and signs status and the server's keys for SCEP alone until its authority switches to it
	IssuerActive  IssuerState = "active"  // new certificates come from it
	IssuerEarlier IssuerState = "earlier" // was active; status goes on
	IssuerDropped IssuerState = "dropped" // was pending or next, and will never be active
)

// An Issuer is an authority's certificate and key at one moment.
type Issuer struct {
	ID          IssuerID
	Authority   AuthorityID
	Tenant      TenantID
	Mode        Mode
	Parent      IssuerID // the issuer that signed its certificate; its own ID for a root
	Key         KeyURI   // OfflineKey for a root
	Certificate []byte   // DER; empty while pending
	Request     []byte   // DER of the PKCS#10 request made for it; empty for a root
	StatusURL   string   // as fixed at creation
	Shards      int
	Deltas      bool
	State       IssuerState
	NotBefore   time.Time
	NotAfter    time.Time
	Created     time.Time

	// ProfileVersion is of the authority's profile, which its creation or rollover was
	// approved with: it has its certificate by that. 0, the latest, of those from before
	// there was this; a root that was imported has none.
	ProfileVersion int

	// Of a root that follows another; empty of all other issuers.
	Follows IssuerID
	KeyKind KeyKind // that the ceremony is to make its key of
	Links   RootLinks
}

// RootLinks are the certificates by which clients get from a root to the one that
// follows it, and back (RFC 9810, 4.4), in DER; empty where there are none.
type RootLinks struct {
	NewWithOld []byte // the following one's key, signed by the one before
	OldWithNew []byte // the other way round
}

// A ProfileRef names one immutable version of a profile. A profile belongs to
// the tenant that published it.
type ProfileRef struct {
	Tenant  TenantID
	Name    string
	Version int // from 1
}

// A ProfileVersion is one immutable version of a profile.
type ProfileVersion struct {
	ProfileRef
	Hash    [32]byte // SHA-256 of Source
	Source  string   // the YAML document as published
	Created time.Time

	Repeated bool   // what was to be published is this already: it was the latest version
	By       string // who published it, in a list of versions; "" where that is not known
}

// A Protocol is a way in for devices or for those who enrol on their behalf.
type Protocol string

// The protocols.
const (
	ProtocolREST  Protocol = "rest"
	ProtocolBatch Protocol = "batch"
	ProtocolEST   Protocol = "est"  // RFC 7030
	ProtocolSCEP  Protocol = "scep" // RFC 8894

	// ProtocolSCEPLegacy is SCEP as clients from before 2015 speak it: with SHA-1, DES and
	// 3DES, and any nonce. It is on beside ProtocolSCEP.
	ProtocolSCEPLegacy Protocol = "scep-legacy"
)

// Protocols lists every protocol.
func Protocols() []Protocol {
	return []Protocol{ProtocolREST, ProtocolBatch, ProtocolEST, ProtocolSCEP, ProtocolSCEPLegacy}
}

// Names are the subject alternative names that an endpoint authorises for
// profiles whose names come from the request.
type Names struct {
	DNS []string `json:"dns,omitempty" yaml:"dns,omitempty"` // exact names, or "*.example.com" for the names one label below
	IP  []string `json:"ip,omitempty" yaml:"ip,omitempty"`   // prefixes, as "10.0.0.0/8"
	URI []string `json:"uri,omitempty" yaml:"uri,omitempty"` // prefixes, as "urn:device:"
}

// An Endpoint is a named place under which devices enrol: it binds an authority,
// a profile version and the protocols that are on.
type Endpoint struct {
	Tenant    TenantID
	Name      string // a slug, unique in the tenant
	Authority AuthorityID
	Profile   ProfileRef
	Protocols []Protocol
	Names     Names
	Auth      []Proofs // of which one must be given; none is any one proof
	Networks  []string // prefixes, as "10.0.0.0/8", from which it takes requests; none is from anywhere
	Validator string   // of the configuration, which checks the challenges of SCEP; "" is none: they are enrolment secrets
	Approvals *Approvals
	Quota     *int64 // how many certificates there may be by it, as the store has it; nil is no limit
	Created   time.Time
}

// Approvals is whose approval each enrolment at an endpoint needs, after that which its
// profile wants, and how long one waits. Nil, and one without steps, is nobody's.
type Approvals struct {
	Steps []ApprovalStep
	Life  time.Duration
}

// An ApprovalStep is so many approvals by holders of a role.
type ApprovalStep struct {
	Role string `json:"role"`
	N    int    `json:"n"`
}

// Label returns the endpoint's label, {tenant}.{name}, as it stands in URLs.
func (e Endpoint) Label() string { return string(e.Tenant) + "." + e.Name }

// Placement is what the registry knows of a device's place in a product line.
type Placement struct {
	ProductLine string
	Lot         string
	Site        string
}

// A Certificate is one issued certificate as the store keeps it. It is never
// changed.
type Certificate struct {
	Issuer    IssuerID
	Serial    Serial
	Tenant    TenantID // the issuer's tenant
	Owner     TenantID // the device's tenant
	Device    DeviceID // "" where no device is concerned
	Placement          // of the device when it was issued
	Profile   ProfileRef
	Intent    IntentID
	Place     int     // within the intent, from 0
	Batch     BatchID // "" for a single request
	Row       int64   // within the batch, from 1; 0 for a single request
	NotBefore time.Time
	NotAfter  time.Time
	Issued    time.Time
	DER       []byte
}

// SeenBy returns the certificate as a tenant sees it that issued or owns it: where in
// the product line it belongs and what it was asked for with are the owner's alone.
func (c *Certificate) SeenBy(tenant TenantID) *Certificate {
	if c.Owner == tenant {
		return c
	}
	seen := *c
	seen.Placement, seen.Batch, seen.Row = Placement{}, "", 0
	return &seen
}

// A Reason is a revocation reason code, RFC 5280, 5.3.1.
type Reason int

// The reasons. All are final but CertificateHold, which RemoveFromCRL ends.
const (
	Unspecified          Reason = 0
	KeyCompromise        Reason = 1
	CACompromise         Reason = 2
	AffiliationChanged   Reason = 3
	Superseded           Reason = 4
	CessationOfOperation Reason = 5
	CertificateHold      Reason = 6
	RemoveFromCRL        Reason = 8 // of an entry that releases a hold; no request gives it as a reason
	PrivilegeWithdrawn   Reason = 9
	AACompromise         Reason = 10
)

var reasonNames = map[Reason]string{
	Unspecified: "unspecified", KeyCompromise: "keyCompromise", CACompromise: "cACompromise",
	AffiliationChanged: "affiliationChanged", Superseded: "superseded",
	CessationOfOperation: "cessationOfOperation", CertificateHold: "certificateHold", RemoveFromCRL: "removeFromCRL",
	PrivilegeWithdrawn: "privilegeWithdrawn", AACompromise: "aACompromise",
}

// String returns the reason's name in RFC 5280.
func (r Reason) String() string {
	if s, ok := reasonNames[r]; ok {
		return s
	}
	return "unknown"
}

// ParseReason returns the reason with the given RFC 5280 name, which must be one
// that a request may give: not removeFromCRL.
func ParseReason(s string) (Reason, error) {
	for r, name := range reasonNames {
		if name == s && r != RemoveFromCRL {
			return r, nil
		}
	}
	return 0, Errorf(Malformed, "reason %.40q: it is one of unspecified, keyCompromise, cACompromise, affiliationChanged, superseded, cessationOfOperation, certificateHold, privilegeWithdrawn, aACompromise", s)
}

// A Revocation is one revocation entry. Entries are only ever inserted: of a
// certificate's entries the one with the highest N holds. One with the reason
// RemoveFromCRL says that the certificate is good again.
type Revocation struct {
	Issuer   IssuerID
	Serial   Serial
	N        int // from 1
	Reason   Reason
	At       time.Time
	Shard    int
	NotAfter time.Time // of the certificate; expired entries leave the CRL
}

// An Event is one administrative act, stored in the transaction of the act.
type Event struct {
	ID     string // NewID; set by the store where empty
	Tenant TenantID
	At     time.Time
	Actor  string // principal, as "token:0abc (ops laptop)"
	Action string // as "authority.create"
	Target string // what was acted on, as "authority:0abc"
	Detail string // what changed, one line, no secrets

	// Change is the approved change that the act executes; "" is none. Storing the
	// event makes the change an executed one, and is Conflict unless it is approved.
	Change ChangeID
}

// An Enrollment is a request with its fate.
type Enrollment struct {
	Certificate *Certificate
	Chain       [][]byte     // DER of the issuer's certificate and up to, without, the root
	Pair        *Certificate // the other of a pair, of the same issuer; nil where none was asked for
	Repeated    bool         // the answer to an earlier request with the same idempotency key
	Key         PrivateKey   // the certificate's, where it was made here: it is nowhere else, and whoever answers clears it
}

// A Clock tells the time. time.Now is one.
type Clock func() time.Time
