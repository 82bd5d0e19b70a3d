// Package storetest is the contract of a store: what the services' store
// interfaces promise, as tests that every implementation passes.
//
// Each behaviour is a sub-test on a store of its own. Every method with a tenant
// is also called as a stranger: a tenant that exists and has nothing.
package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/auditlog"
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/check"
	"github.com/pando-pki/pando/internal/enrolauth"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/expiry"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/lotreport"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/proto/scep"
	"github.com/pando-pki/pando/internal/quota"
	"github.com/pando-pki/pando/internal/registry"
	"github.com/pando-pki/pando/internal/retention"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/stat"
	"github.com/pando-pki/pando/internal/statuscheck"
	"github.com/pando-pki/pando/internal/trace"
	"github.com/pando-pki/pando/internal/trust"
)

// Store is all that the services keep.
type Store interface {
	issuance.Store
	revocation.Store
	revocation.JobStore
	hierarchy.Store
	enroll.Store
	batch.Store
	registry.Store
	lotreport.Store
	trace.Store
	access.TokenStore
	access.GrantStore
	keystore.Store
	keystore.CredentialStore
	check.Store
	auditlog.Store
	statuscheck.Store
	expiry.Store
	trust.Store
	retention.Store
	quota.Store
	approval.Store
	enrolauth.Store
	scep.Store
	scep.Certificates

	PurgeIdempotency(ctx context.Context, before time.Time, limit int) (int, error)
	PurgeSecrets(ctx context.Context, before time.Time, limit int) (int, error)
	PurgeSCEP(ctx context.Context, before time.Time, limit int) (int, error)
	Size(ctx context.Context) (stat.StoreSize, error)
	OpenWork(ctx context.Context) (stat.OpenWork, error)
	Close() error
}

// Run runs the tests. open opens the store whose data is in dir, a directory that
// the test owns, and makes it where there is none; a test opens the same dir again
// only after it closed the store.
func Run(t *testing.T, open func(t *testing.T, dir string) Store) {
	for _, test := range []struct {
		name string
		run  func(*fixture)
	}{
		{"tenants", testTenants},
		{"tenant settings", testTenantSettings},
		{"authorities", testAuthorities},
		{"issuers", testIssuers},
		{"rollover", testRollover},
		{"profiles", testProfiles},
		{"profile quota", testProfileQuota},
		{"events", testEvents},
		{"tokens", testTokens},
		{"sealed keys", testSealedKeys},
		{"credentials", testCredentials},
		{"endpoints", testEndpoints},
		{"block list", testBlockList},
		{"SCEP transactions", testSCEP},
		{"SCEP renewals", testRenewalOf},

		{"issue", testIssue},
		{"issue for another owner", testLent},
		{"a certificate has the place of its device", testPlace},
		{"certificates of one group, several of one device", testPlaceInGroup},
		{"issue without an issuer", testUnknownIssuer},
		{"idempotency", testIdempotency},
		{"pair", testPair},
		{"idempotency purged", testPurge},
		{"idempotency raced", testRace},
		{"key use", testKeyUse},
		{"claims at random", testClaims},
		{"void gives up claims", testVoid},
		{"void twice", testVoidTwice},
		{"void keeps a renewed key", testVoidAfterRenewal},
		{"fencing", testFencing},
		{"adoption", testAdoption},
		{"nodes", testNodes},
		{"certificates paged under writes", testPaging},
		{"certificates of a device", testOfDevice},
		{"scan", testScan},

		{"batch", testBatch},
		{"batch again", testBatchAgain},
		{"batch upload", testUpload},
		{"batch dry run", testDryRun},
		{"batch chunk claimed once", testChunkOnce},
		{"batch refusals of the store", testBatchRefusals},
		{"batch rows of one device", testBatchDevices},
		{"batch of pairs", testBatchPairs},
		{"lot of pairs", testPairsOfLot},
		{"items outside of a part of the tenant", testWithin},
		{"batch void", testBatchVoid},
		{"batch adopted", testBatchAdopted},
		{"batch cancelled", testBatchCancelled},
		{"batch retry", testBatchRetry},
		{"lot report", testLotReport},
		{"batch rows to purge", testPurgeable},
		{"batch rows purged", testBatchPurge},
		{"requests of purged rows archived", testArchivedRequests},

		{"product lines and sites", testPlaces},
		{"lots", testLots},
		{"names registered by their first use", testFirstUse},
		{"devices planned", testPlanned},
		{"whether all devices may enrol", testAllMayEnrol},
		{"devices suspended and resumed", testSuspended},
		{"suspended devices in jobs", testSuspendedJob},
		{"devices decommissioned", testDecommissioned},
		{"devices that changed before the record", testChangedDevice},
		{"devices found", testDevices},
		{"certificates found", testSearch},
		{"certificates found by the indexes of an authority", testIndexes},
		{"an authority gets indexes later", testAddIndexes},
		{"searches bounded", testSearchBound},
		{"traces", testTraces},
		{"entries of jobs", testEntriesOfJobs},
		{"certificates of authorities", testAuthorityCertificates},

		{"revoke", testRevoke},
		{"hold and release", testHold},
		{"revoked entries", testRevoked},
		{"latest entries of serials", testLatestEntries},
		{"revocation job's selection", testJobSelection},
		{"where the certificates of a revocation job are", testPlacesOf},
		{"revocation job", testJob},
		{"revocation job raced", testJobRaced},
		{"revocation jobs bounded", testJobsBounded},
		{"CRLs", testCRLs},
		{"what a published CRL has and the store lost", testRecover},
		{"CRL in parts", testParts},
		{"CRL without parts that are gone", testGoneParts},
		{"CRL with staged parts", testStaged},
		{"delta CRLs", testDeltas},
		{"changed entries", testChanged},
		{"CRLs that are due", testDue},
		{"sample serial", testSampleSerial},
		{"size", testSize},
		{"open work", testOpenWork},
		{"clock", testClock},
		{"expiry counted", testExpiry},
		{"trusted authorities", testTrust},
		{"enrolment secrets", testSecrets},
		{"what validators are told", testNotices},
		{"what scopes name", testScopes},
		{"own roles and grants", testRoles},
		{"own roles raced", testRolesRaced},

		{"quotas", testQuotas},
		{"quota refuses", testQuotaRefuses},
		{"quota freed", testQuotaFreed},
		{"quota counted", testQuotaCounted},
		{"quota of a product line", testQuotaLine},
		{"quota of an endpoint", testQuotaOfEndpoint},
		{"quotas at random", testQuotasAtRandom},

		{"approval rules", testApprovalRules},
		{"changes", testChanges},
		{"changes executed once", testExecutedOnce},
		{"changes asked for again", testAskedChange},
		{"changes executed by intents", testExecutedByIntent},

		{"children", testChildren},
		{"loans", testLoans},
		{"batches that wait", testWaitingBatches},
		{"holds of a lender", testLenderHolds},
		{"holds of a lender on top", testLenderHoldsHeld},
		{"jobs alone", testJobsAlone},

		{"retention", testRetention},
		{"expired certificates", testExpired},
		{"archive", testArchive},
		{"archive held", testArchiveHeld},
		{"batch archived", testArchivedBatch},
		{"archived devices of a file", testArchivedDevices},

		{"log", testLog},
		{"log over several tiles", testLogGrows},
		{"log sequenced by one", testSequencer},
		{"log checkpoints", testCheckpoints},

		{"restart", testRestart},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(setup(t, open)) })
	}
}

// The tenants of every test. The partner is a child of acme, which lends to it; the
// stranger exists and has nothing.
const (
	acme     = pki.TenantID("acme")
	partner  = pki.TenantID("partner")
	stranger = pki.TenantID("stranger")
)

// A fixture is a store with tenants and one active authority of acme.
type fixture struct {
	*testing.T
	Store
	ctx       context.Context
	reopen    func() // closes the store and opens it again
	now       time.Time
	authority *pki.Authority
	issuer    *pki.Issuer
	profile   pki.ProfileRef
	node      string
	epoch     int64
	events    int
	lending   bool // acme lends its authority with the profile to the partner
}

const shards = 4

func setup(t *testing.T, open func(t *testing.T, dir string) Store) *fixture {
	dir := t.TempDir()
	f := &fixture{T: t, Store: open(t, dir), ctx: t.Context(), node: "node-a",
		now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), profile: pki.ProfileRef{Tenant: acme, Name: "meter", Version: 1}}
	t.Cleanup(func() { f.ok(f.Close()) })
	f.reopen = func() {
		f.ok(f.Close())
		f.Store = open(t, dir)
	}
	for _, id := range []pki.TenantID{acme, partner, stranger} {
		t := &pki.Tenant{ID: id, Organization: string(id) + " Ltd", Created: f.now}
		if id == partner {
			t.Parent = acme
		}
		f.ok(f.PutTenant(f.ctx, t, f.event(id, "tenant.create")))
	}
	f.authority, f.issuer = f.newAuthority(acme, "manufacturing")
	f.ok(f.PutAuthority(f.ctx, f.authority, f.issuer, f.event(acme, "authority.create")))
	f.ok(f.InstallIssuer(f.ctx, acme, f.issuer.ID, []byte("issuer certificate"), pki.RootLinks{}, f.now, f.now.AddDate(15, 0, 0), nil, f.event(acme, "authority.activate")))
	f.enter()
	return f
}

// enter registers the fixture's node anew, for an hour.
func (f *fixture) enter() {
	f.Helper()
	epoch, err := f.Enter(f.ctx, f.node, f.now.Add(time.Hour))
	f.ok(err)
	f.epoch = epoch
}

func (f *fixture) newAuthority(tenant pki.TenantID, name string) (*pki.Authority, *pki.Issuer) {
	a := &pki.Authority{ID: pki.AuthorityID(pki.NewOpaqueID()), Tenant: tenant, Name: name, CommonName: name + " CA", Kind: pki.Issuing,
		Mode: pki.Test, Parent: "parent", Profile: "issuing-ca", KeyKind: pki.P256, StatusURL: "http://127.0.0.1:8080",
		Shards: shards, SignCheck: pki.CheckHardware, RandomSerials: true, State: pki.AuthorityPending, Created: f.now}
	i := &pki.Issuer{ID: pki.IssuerID(pki.NewOpaqueID()), Authority: a.ID, Tenant: tenant, Mode: pki.Test, Parent: "parent",
		Key: "software:0abc", Request: []byte("request"), StatusURL: a.StatusURL, Shards: shards, State: pki.IssuerPending, Created: f.now}
	return a, i
}

// event returns an event a millisecond after the one before, so that their order
// is known.
func (f *fixture) event(tenant pki.TenantID, action string) pki.Event {
	f.events++
	at := f.now.Add(time.Duration(f.events) * time.Millisecond)
	return pki.Event{Tenant: tenant, At: at, Actor: "token:0abc (test)", Action: action, Target: "target", Detail: "detail"}
}

// ok ends the test unless err is nil.
func (f *fixture) ok(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// is reports an error unless err has the kind.
func (f *fixture) is(kind pki.Kind, err error) {
	f.Helper()
	if err == nil || pki.KindOf(err) != kind {
		f.Errorf("got error %v, want one of kind %s", err, kind)
	}
}

// same reports an error unless got equals want; nil and empty are equal.
func (f *fixture) same(got, want any) {
	f.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		f.Errorf("differs from what is wanted (-want +got):\n%s", diff)
	}
}

// actions returns the actions of a tenant's events, newest first.
func (f *fixture) actions(tenant pki.TenantID) []string {
	f.Helper()
	events, _, err := f.Events(f.ctx, tenant, hierarchy.EventFilter{}, "", 1000)
	f.ok(err)
	var all []string
	for _, e := range events {
		all = append(all, e.Action)
	}
	return all
}
