package restapi

import (
	"net/http"
	"strings"
	"testing"

	"github.com/pando-pki/pando/client"
)

// A reach says what becomes of a route where whoever asks has its permission on a part
// of the tenant: of beta's parts in which the things of matrix.rows are, or of others.
type reach int

const (
	whole  reach = iota + 1 // it is about the whole tenant: forbidden to both
	place                   // it is about a thing that is somewhere: forbidden to those outside
	lists                   // it lists what is within, or belongs to no place: forbidden to neither
	beyond                  // the row's thing is in the other part: forbidden to those inside
)

// reaches has each route.
func reaches() map[string]reach {
	all := make(map[string]reach)
	for r, routes := range map[reach]string{
		whole: `GET /tenants; POST /tenants; GET /tenants/{tenant}; PUT /tenants/{tenant}/settings; POST /tenants/{tenant}/tokens;
			DELETE /tenants/{tenant}/tokens/{id}; POST /blocklist; GET /clock; POST /clock/accept;
			GET /roles; POST /roles; PUT /roles/{role}; DELETE /roles/{role}; GET /grants; POST /grants; DELETE /grants/{id}; GET /access/explain;
			POST /tokens; DELETE /tokens/{id}; GET /events; GET /events/{id}/proof; GET /log/checkpoint; GET /log/consistency; GET /log/entries;
			GET /log/export; GET /alarms; GET /retention; PUT /retention; POST /retention/run; GET /archives; GET /archives/{id}; GET /expiry;
			GET /approvals/rules; PUT /approvals/rules/{kind}; GET /changes/{id}; POST /changes/{id}/approve; POST /changes/{id}/refuse;
			POST /changes/{id}/withdraw; GET /quotas; PUT /quotas/{quota}; DELETE /quotas/{quota}; GET /children; POST /children;
			POST /children/{child}/suspend; POST /children/{child}/resume; POST /children/{child}/administrators; GET /children/{child}/loans;
			PUT /children/{child}/loans/{loan}; DELETE /children/{child}/loans/{loan}; GET /loans; GET /trust; POST /trust; PATCH /trust/{name}; DELETE /trust/{name};
			POST /authorities; POST /authorities/{authority}/rollover; POST /authorities/roots; POST /authorities/install; POST /profiles; GET /registry; PATCH /registry; POST /lots; GET /devices`,
		place: `GET /authorities/{authority}; GET /authorities/{authority}/request; GET /authorities/{authority}/crl-request;
			POST /authorities/{authority}/retire; POST /authorities/{authority}/switch; POST /authorities/{authority}/indexes; DELETE /authorities/{authority}/next; POST /endpoints; GET /endpoints/{endpoint}; PATCH /endpoints/{endpoint};
			GET /endpoints/{endpoint}/trace; POST /secrets; GET /secrets/{id}; DELETE /secrets/{id};
			POST /enrollments; GET /certificates/{issuer}/{serial}; GET /certificates/{issuer}/{serial}/proof; GET /certificates/{issuer}/{serial}/trace;
			POST /certificates/{issuer}/{serial}/revoke; POST /certificates/{issuer}/{serial}/release; POST /crls/{issuer}/renew;
			POST /product-lines; POST /sites; GET /lots/{name}; POST /lots/{name}/close; GET /lots/{name}/report; PATCH /lots/{name};
			GET /devices/{device}; POST /devices/{device}/activate; POST /devices/{device}/suspend; POST /devices/{device}/resume;
			POST /devices/{device}/return; POST /devices/{device}/decommission; POST /batches; GET /batches/{id}; GET /batches/{id}/events;
			GET /batches/{id}/results; POST /batches/{id}/issue; POST /batches/{id}/pause; POST /batches/{id}/resume; POST /batches/{id}/cancel;
			POST /batches/{id}/retry; POST /revocations; GET /revocations/{id}; GET /revocations/{id}/counts; GET /revocations/{id}/events;
			POST /revocations/{id}/pause; POST /revocations/{id}/resume; POST /revocations/{id}/run; POST /revocations/{id}/cancel`,
		lists: `GET /whoami; GET /authorities/{authority}/chain; GET /tokens; GET /tenants/{tenant}/tokens; GET /authorities; GET /profiles; GET /profiles/{name}; GET /profiles/{name}/versions; GET /endpoints;
			GET /certificates; GET /crls; GET /ocsp/responders; GET /product-lines; GET /sites; GET /lots; GET /lot-report-key; POST /devices;
			GET /batches; GET /revocations; GET /changes; GET /secrets`,
		beyond: `GET /product-lines/{name}; PATCH /product-lines/{name}; GET /sites/{name}; PATCH /sites/{name}`,
	} {
		for route := range strings.SplitSeq(routes, ";") {
			all[strings.TrimSpace(route)] = r
		}
	}
	return all
}

// TestScopes asks every route with tokens that have every permission on a part of the
// tenant, inside of which the thing is that is asked for, or outside.
func TestScopes(t *testing.T) {
	m := newMatrix(t)
	of := reaches()
	for _, rt := range Routes() {
		if of[rt.Method+" "+rt.Path] == 0 {
			t.Errorf("%s %s has no reach: say what somebody gets who has a part of the tenant", rt.Method, rt.Path)
		}
	}
	if len(of) != len(Routes()) {
		t.Errorf("%d routes have a reach, and there are %d", len(of), len(Routes()))
	}
	token := func(scopes ...string) client.Token {
		return must(m.admin.CreateToken(t.Context(), client.NewToken{Name: "part", Role: "tenant-administrator", Scopes: scopes}))(t).Secret
	}
	inside := token("authority:root", "authority:issuing", "authority:hidden-waiting", "authority:hidden-installable", "endpoint:hidden", "product-line:hidden-line", "site:hidden-site")
	outside := token("product-line:hidden-other", "site:hidden-other")
	before := m.seen(t)
	rows := m.rows(t)
	for _, who := range []struct {
		name  string
		token client.Token
		may   map[reach]bool
	}{
		{"outside", outside, map[reach]bool{lists: true, beyond: true}},
		{"inside", inside, map[reach]bool{lists: true, place: true}},
	} {
		for _, r := range rows {
			if r.platform || r.own == http.StatusNotFound || who.name == "outside" && of[r.route] == beyond {
				continue
			}
			status, text := m.ask(t, r, who.token)
			may := who.may[of[r.route]]
			if may == (status == http.StatusForbidden) || status == http.StatusUnauthorized || status >= 500 {
				t.Errorf("%s: %s: %d %.300s", who.name, r.name(), status, text)
			}
			if !may && (!strings.Contains(text, `"permission":`) || !strings.Contains(text, `"scope":"`)) {
				t.Errorf("%s: %s: the refusal does not say what is missing: %.300s", who.name, r.name(), text)
			}
			if who.name == "outside" && of[r.route] == lists && r.route != "POST /devices" {
				for _, secret := range []string{"hidden-device", "hidden-lot", m.certificate.Serial, m.batch, m.revocation} {
					if strings.Contains(text, secret) {
						t.Errorf("outside: %s shows %s: %.300s", r.name(), secret, text)
					}
				}
			}
		}
		if who.name == "outside" {
			for path, text := range m.seen(t) {
				// An upload that is refused leaves its event, and its batch, which is cancelled.
				if text != before[path] && path != "/events?limit=1000" && path != "/batches" {
					t.Errorf("somebody outside changed %s: %s", path, text)
				}
			}
		}
	}
}
