package restapi

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/intake"
	"github.com/pando-pki/pando/internal/registry"
)

// A Route is one operation of the API.
type Route struct {
	Method     string
	Path       string            // after /api/v1, with {wildcards}
	Permission access.Permission // "" is any valid token
	Tenant     bool              // in the tenant that the path names; otherwise in the token's own
}

// Routes lists every operation that needs a token, for tests that each is
// guarded. What needs none is the OpenAPI document.
func Routes() []Route {
	var routes []Route
	for _, rt := range new(server).table() {
		routes = append(routes, rt.Route)
	}
	return routes
}

// route is a Route with what serves it.
type route struct {
	Route
	doc      huma.Operation
	repeats  bool // see repeatable
	lasts    bool // see lasting
	waits    bool // see gated
	register func(*server, route)
}

// The bounds of JSON request bodies, in bytes.
const (
	maxBody       = 64 << 10
	maxEnrollBody = 256 << 10
)

// table lists the operations. A permit of the permission is made before the
// request's body is read, and handed to the operation.
func (s *server) table() []route {
	return []route{
		operation("GET /tenants", access.ManageTenants, "list-tenants", "List the tenants", s.listTenants),
		operation("POST /tenants", access.ManageTenants, "create-tenant", "Create a tenant", s.createTenant).created(),
		operation("GET /tenants/{tenant}", access.ManageTenants, "get-tenant", "Get a tenant", s.getTenant),
		operation("PUT /tenants/{tenant}/settings", access.ManageTenants, "set-tenant", "Set a tenant's limits", s.setTenant),
		operation("GET /tenants/{tenant}/tokens", access.ManageTokens, "list-tenant-tokens", "List a tenant's tokens", s.listTenantTokens),
		operation("POST /tenants/{tenant}/tokens", access.ManageTokens, "create-tenant-token", "Create a token in a tenant", s.createTenantToken).created(),
		operation("DELETE /tenants/{tenant}/tokens/{id}", access.ManageTokens, "revoke-tenant-token", "Revoke a tenant's token", s.revokeTenantToken),
		operation("POST /blocklist", access.ManageBlocklist, "block-keys", "Refuse keys from now on", s.blockKeys),
		operation("GET /clock", access.ManageClock, "get-clock", "Compare the node's clock", s.getClock),
		operation("POST /clock/accept", access.ManageClock, "accept-clock", "Accept the node's clock as it is", s.acceptClock),

		operation("GET /whoami", "", "whoami", "Tell who the token is", s.whoami),
		operation("GET /tokens", access.ManageTokens, "list-tokens", "List the tokens", s.listTokens),
		operation("POST /tokens", access.ManageTokens, "create-token", "Create a token", s.createToken).created(),
		operation("DELETE /tokens/{id}", access.ManageTokens, "revoke-token", "Revoke a token", s.revokeToken),
		operation("GET /events", access.ReadEvents, "list-events", "List administrative acts, newest first", s.listEvents),
		operation("GET /alarms", access.ReadAlarms, "list-alarms", "List what is wrong now, the critical first", s.listAlarms),
		operation("GET /retention", access.ReadEvents, "get-retention", "Get how long expired certificates stay, and what is being archived", s.getRetention),
		operation("PUT /retention", access.ManageRetention, "set-retention", "Set how long expired certificates stay", s.setRetention).gated(),
		operation("POST /retention/run", access.ManageRetention, "run-retention", "Archive now what is due, or count it", s.runRetention),
		operation("GET /archives", access.ReadEvents, "list-archives", "List the archives, newest first", s.listArchives),
		operation("GET /archives/{id}", access.ReadEvents, "get-archive", "Get an archive", s.getArchive),
		operation("GET /children", access.ManageChildren, "list-children", "List the child tenants", s.listChildren),
		operation("POST /children", access.ManageChildren, "create-child", "Create a child tenant", s.createChild).created(),
		operation("POST /children/{child}/suspend", access.ManageChildren, "suspend-child", "Have nobody of a child be heard, and nothing be issued to it", s.suspendChild(true)),
		operation("POST /children/{child}/resume", access.ManageChildren, "resume-child", "End a child's suspension", s.suspendChild(false)),
		operation("POST /children/{child}/administrators", access.ManageChildren, "appoint", "Create a token for a child's administrator", s.appoint).created(),
		operation("GET /children/{child}/loans", access.ManageChildren, "list-lent", "List what is lent to a child", s.listLent),
		operation("PUT /children/{child}/loans/{loan}", access.ManageChildren, "lend", "Lend to a child, or change the limit of what is lent", s.lend),
		operation("DELETE /children/{child}/loans/{loan}", access.ManageChildren, "take-back", "End a loan", s.takeBack),
		operation("GET /loans", access.ReadConfiguration, "list-loans", "List what the parent lends to the tenant", s.listLoans),
		operation("GET /quotas", access.ReadQuotas, "list-quotas", "List the quotas, and what of them is used", s.listQuotas),
		operation("PUT /quotas/{quota}", access.ManageQuotas, "set-quota", "Set how many certificates there may be", s.setQuota).gated(),
		operation("DELETE /quotas/{quota}", access.ManageQuotas, "remove-quota", "End a quota", s.removeQuota).gated(),
		operation("GET /expiry", access.ReadAlarms, "report-expiry", "Report what ends within a window", s.reportExpiry),

		operation("GET /trust", access.ReadConfiguration, "list-trust", "List the authorities whose client certificates prove somebody", s.listTrust),
		operation("POST /trust", access.ManageTrust, "add-trust", "Trust an authority's client certificates", s.addTrust).created(),
		operation("PATCH /trust/{name}", access.ManageTrust, "change-trust", "Change where a trusted authority's certificates have their role", s.changeTrust),
		operation("DELETE /trust/{name}", access.ManageTrust, "remove-trust", "End the trust in an authority", s.removeTrust),

		operation("GET /secrets", access.ReadConfiguration, "list-secrets", "List the enrolment secrets, newest first", s.listSecrets),
		operation("POST /secrets", access.ManageSecrets, "create-secret", "Create an enrolment secret", s.createSecret).created(),
		operation("GET /secrets/{id}", access.ReadConfiguration, "get-secret", "Get an enrolment secret, and what it was used for", s.getSecret),
		operation("DELETE /secrets/{id}", access.ManageSecrets, "revoke-secret", "Revoke an enrolment secret", s.revokeSecret),

		operation("GET /approvals/rules", access.ReadApprovals, "list-approval-rules", "List what acts of each kind need", s.listRules),
		operation("PUT /approvals/rules/{kind}", access.ManageApprovals, "set-approval-rule", "Say what acts of a kind need", s.setRule).gated(),
		operation("GET /changes", access.ReadApprovals, "list-changes", "List what waits for approval, or did, newest first", s.listChanges),
		operation("GET /changes/{id}", "", "get-change", "Get a change with its payload", s.getChange),
		operation("POST /changes/{id}/approve", access.DecideApprovals, "approve-change", "Approve a change; with the last approval it is done", s.decide(approval.Approve)),
		operation("POST /changes/{id}/refuse", access.DecideApprovals, "refuse-change", "Refuse a change, which ends it", s.decide(approval.Refuse)),
		operation("POST /changes/{id}/withdraw", "", "withdraw-change", "Withdraw a change that waits", s.withdrawChange),

		operation("GET /roles", access.ReadAccess, "list-roles", "List the roles, built in and own, with what they include", s.listRoles),
		operation("POST /roles", access.ManageAccess, "create-role", "Create an own role", s.createRole).created(),
		operation("PUT /roles/{role}", access.ManageAccess, "change-role", "Change what an own role includes, for all who have it", s.changeRole),
		operation("DELETE /roles/{role}", access.ManageAccess, "delete-role", "Delete an own role that nobody has", s.deleteRole),
		operation("GET /grants", access.ReadAccess, "list-grants", "List who has which role where", s.listGrants),
		operation("POST /grants", access.ManageAccess, "add-grant", "Give a role on a scope", s.addGrant).created(),
		operation("DELETE /grants/{id}", access.ManageAccess, "remove-grant", "Take a grant away", s.removeGrant),
		operation("GET /access/explain", access.ReadAccess, "explain-access", "Say whether somebody may do something somewhere, and why", s.explainAccess),

		plain("GET /events/{id}/proof", access.ReadEvents, s.eventProof, eventProofDoc()),

		operation("GET /log/checkpoint", access.ReadEvents, "get-checkpoint", "Get the newest signed checkpoint of the log", s.checkpoint),
		plain("GET /log/consistency", access.ReadEvents, s.consistencyProof, consistencyProofDoc()),
		plain("GET /log/entries", access.ReadEvents, s.logEntries, logEntriesDoc()).lasting(),
		plain("GET /log/export", access.ReadEvents, s.exportLog, exportLogDoc()).lasting(),

		operation("GET /authorities", access.ReadConfiguration, "list-authorities", "List the authorities", s.listAuthorities),
		operation("POST /authorities", access.ManageAuthorities, "create-authority", "Create an authority with a key", s.createAuthority).created().gated(),
		operation("POST /authorities/roots", access.ManageAuthorities, "import-root", "Import a root's certificate", s.importRoot).created().gated(),
		plain("POST /authorities/install", access.ManageAuthorities, s.install, installDoc()).lasting().gated(),
		operation("GET /authorities/{authority}", access.ReadConfiguration, "get-authority", "Get an authority by name or id", s.getAuthority),
		operation("POST /authorities/{authority}/retire", access.ManageAuthorities, "retire-authority", "End an authority's issuance for good", s.retireAuthority).gated(),
		operation("POST /authorities/{authority}/rollover", access.ManageAuthorities, "roll-authority-over", "Make an authority's next issuer", s.rollOver).created().gated(),
		operation("POST /authorities/{authority}/switch", access.ManageAuthorities, "switch-authority", "Have an authority sign by its next issuer", s.switchAuthority).gated(),
		operation("POST /authorities/{authority}/indexes", access.ManageAuthorities, "add-authority-indexes", "Have an authority get indexes for searches", s.addIndexes),
		operation("DELETE /authorities/{authority}/next", access.ManageAuthorities, "drop-next-issuer", "Drop an authority's next issuer, or an authority that is pending", s.dropNext),
		plain("GET /authorities/{authority}/request", access.ManageAuthorities, s.authorityRequest, authorityRequestDoc()),
		plain("GET /authorities/{authority}/crl-request", access.ManageAuthorities, s.crlRequest, crlRequestDoc()),
		plain("GET /authorities/{authority}/chain", access.ReadConfiguration, s.chain, chainDoc()),

		operation("GET /profiles", access.ReadConfiguration, "list-profiles", "List the profiles in their latest version", s.listProfiles),
		operation("POST /profiles", access.ManageProfiles, "publish-profile", "Publish the next version of a profile", s.publishProfile).created().repeatable().gated(),
		operation("GET /profiles/{name}", access.ReadConfiguration, "get-profile", "Get a version of a profile", s.getProfile),
		operation("GET /profiles/{name}/versions", access.ReadConfiguration, "list-profile-versions", "List the versions of a profile, the latest first", s.listProfileVersions),

		operation("GET /endpoints", access.ReadConfiguration, "list-endpoints", "List the endpoints", s.listEndpoints),
		operation("POST /endpoints", access.ManageEndpoints, "create-endpoint", "Create an endpoint", s.createEndpoint).created(),
		operation("GET /endpoints/{endpoint}", access.ReadConfiguration, "get-endpoint", "Get an endpoint by name or label", s.getEndpoint),
		operation("PATCH /endpoints/{endpoint}", access.ManageEndpoints, "change-endpoint", "Change an endpoint", s.changeEndpoint),
		plain("GET /endpoints/{endpoint}/trace", access.ReadConfiguration, s.traceEndpoint, traceEndpointDoc()).lasting(),

		operation("POST /enrollments", access.Enroll, "enroll", "Ask for a certificate", s.enroll).created().repeatable().gated().body(maxEnrollBody).checked(),
		plain("GET /certificates", access.ReadCertificates, s.listCertificates, listCertificatesDoc()).lasting(),
		operation("GET /certificates/{issuer}/{serial}/trace", access.ReadCertificates, "trace-certificate", "Tell all that is known of a certificate", s.traceCertificate),
		plain("GET /certificates/{issuer}/{serial}", access.ReadCertificates, s.getCertificate, getCertificateDoc()),
		plain("GET /certificates/{issuer}/{serial}/proof", access.ReadCertificates, s.certificateProof, certificateProofDoc()),
		operation("POST /certificates/{issuer}/{serial}/revoke", access.Revoke, "revoke-certificate", "Revoke a certificate for good, or hold it", s.revokeCertificate),
		operation("POST /certificates/{issuer}/{serial}/release", access.Revoke, "release-certificate", "End the hold of a certificate", s.releaseCertificate),

		operation("GET /crls", access.ReadConfiguration, "list-crls", "List the latest CRLs of all shards", s.listCRLs),
		operation("POST /crls/{issuer}/renew", access.ManageAuthorities, "renew-crls", "Have CRLs be made anew", s.renewCRLs),
		operation("GET /ocsp/responders", access.ReadConfiguration, "list-responders", "List the OCSP responders", s.listResponders),

		operation("GET /registry", access.ReadRegistry, "get-registry", "Tell how the registry takes new names", s.getRegistry),
		operation("PATCH /registry", access.ManageRegistry, "change-registry", "Say how the registry takes new names", s.changeRegistry),
		operation("GET /product-lines", access.ReadRegistry, "list-product-lines", "List the product lines", s.listPlaces(registry.ProductLine)),
		operation("POST /product-lines", access.ManageRegistry, "create-product-line", "Register a product line", s.createPlace(registry.ProductLine)).created(),
		operation("GET /product-lines/{name}", access.ReadRegistry, "get-product-line", "Get a product line", s.getPlace(registry.ProductLine)),
		operation("PATCH /product-lines/{name}", access.ManageRegistry, "change-product-line", "Describe a product line", s.changePlace(registry.ProductLine)),
		operation("GET /sites", access.ReadRegistry, "list-sites", "List the sites", s.listPlaces(registry.Site)),
		operation("POST /sites", access.ManageRegistry, "create-site", "Register a site", s.createPlace(registry.Site)).created(),
		operation("GET /sites/{name}", access.ReadRegistry, "get-site", "Get a site", s.getPlace(registry.Site)),
		operation("PATCH /sites/{name}", access.ManageRegistry, "change-site", "Describe a site", s.changePlace(registry.Site)),
		operation("GET /lots", access.ReadRegistry, "list-lots", "List the lots", s.listLots),
		operation("POST /lots", access.ManageRegistry, "create-lot", "Register a lot", s.createLot).created(),
		operation("GET /lots/{name}", access.ReadRegistry, "get-lot", "Get a lot", s.getLot),
		operation("POST /lots/{name}/close", access.ManageRegistry, "close-lot", "Close a lot and get its signed report", s.closeLot),
		operation("GET /lots/{name}/report", access.ReadRegistry, "get-lot-report", "Get a closed lot's signed report", s.lotReport),
		operation("GET /lot-report-key", access.ReadRegistry, "get-lot-report-key", "Get the public key of the tenant's lot reports", s.lotReportKey),
		operation("PATCH /lots/{name}", access.ManageRegistry, "change-lot", "Change a lot", s.changeLot),

		plain("GET /devices", access.ReadRegistry, s.listDevices, listDevicesDoc()).lasting(),
		plain("POST /devices", access.ManageRegistry, s.importDevices, importDevicesDoc()).lasting(),
		operation("GET /devices/{device}", access.ReadRegistry, "get-device", "Get a device", s.getDevice),
		operation("POST /devices/{device}/activate", access.ManageDevices, "activate-device", "Say that a device is in the field", s.changeDevice(registry.Activate)),
		operation("POST /devices/{device}/suspend", access.ManageDevices, "suspend-device", "Put a device's certificates on hold, and let it enrol no more", s.changeDevice(registry.Suspend)),
		operation("POST /devices/{device}/resume", access.ManageDevices, "resume-device", "End a device's suspension", s.changeDevice(registry.Resume)),
		operation("POST /devices/{device}/return", access.ManageDevices, "return-device", "Say that a device came back", s.changeDevice(registry.Return)),
		operation("POST /devices/{device}/decommission", access.ManageDevices, "decommission-device", "Revoke a device's certificates and end its id for good", s.changeDevice(registry.Decommission)),

		operation("POST /revocations", access.Revoke, "start-revocation", "Revoke, hold or release many certificates as a job", s.startRevocation).created().repeatable(),
		operation("GET /revocations", access.ReadCertificates, "list-revocations", "List the revocation jobs, newest first", s.listRevocations),
		operation("GET /revocations/{id}", access.ReadCertificates, "get-revocation", "Get a revocation job with its counts", s.getRevocation),
		operation("GET /revocations/{id}/counts", access.ReadCertificates, "list-revocation-counts", "List a job's counts by issuer and CRL shard", s.revocationCounts),
		operation("POST /revocations/{id}/run", access.Revoke, "run-revocation", "Run a job that was counted", s.runRevocation).gated(),
		operation("POST /revocations/{id}/pause", access.Revoke, "pause-revocation", "Pause a running job", s.pauseRevocation),
		operation("POST /revocations/{id}/resume", access.Revoke, "resume-revocation", "Resume a paused job", s.resumeRevocation),
		operation("POST /revocations/{id}/cancel", access.Revoke, "cancel-revocation", "Cancel a job; what was revoked stays revoked", s.cancelRevocation),
		plain("GET /revocations/{id}/events", access.ReadCertificates, s.watchRevocation, watchRevocationDoc()).lasting(),

		plain("POST /batches", access.ManageBatches, s.submitBatch, submitBatchDoc()).lasting(),
		operation("GET /batches", access.ReadBatches, "list-batches", "List the batches, newest first", s.listBatches),
		operation("GET /batches/{id}", access.ReadBatches, "get-batch", "Get a batch with its counts", s.getBatch),
		operation("POST /batches/{id}/issue", access.ManageBatches, "issue-batch", "Issue a batch that was checked", s.issueBatch),
		operation("POST /batches/{id}/pause", access.ManageBatches, "pause-batch", "Pause a running batch", s.pauseBatch),
		operation("POST /batches/{id}/resume", access.ManageBatches, "resume-batch", "Resume a paused batch", s.resumeBatch),
		operation("POST /batches/{id}/retry", access.ManageBatches, "retry-batch", "Try refused rows again, in a new batch", s.retryBatch).status(http.StatusAccepted),
		operation("POST /batches/{id}/cancel", access.ManageBatches, "cancel-batch", "Cancel a batch; what was issued stays issued", s.cancelBatch),
		plain("GET /batches/{id}/events", access.ReadBatches, s.watchBatch, watchBatchDoc()).lasting(),
		plain("GET /batches/{id}/results", access.ReadBatches, s.batchResults, batchResultsDoc()).lasting(),
	}
}

// newRoute splits "METHOD /path". The first segment of the path is its tag.
func newRoute(pattern string, permission access.Permission) route {
	method, path, _ := strings.Cut(pattern, " ")
	tag, _, _ := strings.Cut(path[1:], "/")
	return route{
		Route: Route{Method: method, Path: path, Permission: permission, Tenant: strings.Contains(path, "{tenant}")},
		doc: huma.Operation{
			Method: method, Path: path, Tags: []string{tag},
			MaxBodyBytes: maxBody, BodyReadTimeout: intake.BodyPatience,
			Responses: make(map[string]*huma.Response), // filled when it is registered
		},
	}
}

func (rt route) created() route { return rt.status(http.StatusCreated) }

// status is what success is answered with.
func (rt route) status(code int) route {
	rt.doc.DefaultStatus = code
	return rt
}

// repeatable says that the same request again gets 200 and the answer before.
func (rt route) repeatable() route {
	rt.repeats = true
	return rt
}

// lasting says that requests take as long as their client, or what they watch,
// and have places of their own among those under way.
func (rt route) lasting() route {
	rt.lasts = true
	return rt
}

// gated says that what is asked for may have to be approved first: then it is answered
// with 202 and the change.
func (rt route) gated() route {
	rt.waits = true
	return rt
}

func (rt route) body(limit int64) route {
	rt.doc.MaxBodyBytes = limit
	return rt
}

// checked says that the operation itself checks what its body says: huma would
// read the body a second time, into maps, to compare it with the schema.
func (rt route) checked() route {
	rt.doc.SkipValidateBody = true
	return rt
}

// input is a pointer to an operation's input, which embeds Caller.
type input[I any] interface {
	*I
	caller() Caller
}

// operation is a route whose input and output are JSON, by huma.
func operation[I, O any, P input[I]](pattern string, permission access.Permission, id, summary string,
	handler func(context.Context, access.Permit, *I) (*O, error)) route {
	rt := newRoute(pattern, permission)
	rt.doc.OperationID, rt.doc.Summary = id, summary
	rt.register = func(s *server, rt route) {
		rt.doc.Middlewares = huma.Middlewares{s.guard(rt)}
		if rt.doc.SkipValidateBody {
			rt.doc.Middlewares = append(rt.doc.Middlewares, onlyJSON)
		}
		huma.Register(s.api, rt.doc, func(ctx context.Context, in *I) (*O, error) {
			out, err := handler(ctx, P(in).caller().grant, in)
			if err != nil {
				return nil, s.refusal(ctx, err)
			}
			return out, nil
		})
		if rt.repeats {
			made := rt.doc.Responses[strconv.Itoa(rt.doc.DefaultStatus)]
			rt.doc.Responses[strconv.Itoa(http.StatusOK)] = &huma.Response{Description: "The same request again: what it got before.", Content: made.Content}
		}
		if rt.waits {
			rt.doc.Responses[strconv.Itoa(http.StatusAccepted)] = s.waitingDoc()
		}
	}
	return rt
}

// plain is a route that reads and writes HTTP itself: streams, and media other
// than JSON. Its documentation is written by hand.
func plain(pattern string, permission access.Permission, handler func(http.ResponseWriter, *http.Request, access.Permit) error, doc document) route {
	rt := newRoute(pattern, permission)
	rt.register = func(s *server, rt route) {
		s.describe(&rt.doc, doc)
		if rt.waits {
			rt.doc.Responses[strconv.Itoa(http.StatusAccepted)] = s.waitingDoc()
		}
		s.mux.HandleFunc(rt.Method+" "+prefix+rt.Path, func(w http.ResponseWriter, r *http.Request) {
			c, leave, err := s.admit(r, rt)
			if err == nil {
				defer leave()
				v := voucher{time.Now(), func() error { return s.vouch(r, rt.Route, c.grant) }}
				r.Body = &vouchedBody{sentBody{ReadCloser: r.Body}, v}
				err = handler(&vouchedWriter{w, v, func(err error) { s.cut(r, err) }}, r, c.grant)
			}
			if err != nil {
				s.fail(w, r, err)
			}
		})
	}
	return rt
}
