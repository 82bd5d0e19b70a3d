package client

import "time"

// A List is one page of a listing. Where there is more, Next says how to ask for
// the page that follows: it is the value of the operation's cursor parameter.
type List[T any] struct {
	Items []T    `json:"items" doc:"The items of this page."`
	Next  string `json:"next,omitempty" doc:"Where the next page begins; absent on the last page."`

	NotSearched []string `json:"not_searched,omitempty" doc:"Of a search for certificates: the authorities that do not keep the index by which it is led. Their certificates are not among the items."`
}

// listed reports whether it came from the API, which writes an empty list too.
func (l *List[T]) listed() bool { return l.Items != nil }

// A Tenant is an organisation with its own hierarchies, people and devices.
type Tenant struct {
	ID           string    `json:"id" pattern:"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$" doc:"A slug of a-z, 0-9 and inner hyphens. It is never changed and never used again." example:"demo"`
	Organization string    `json:"organization" maxLength:"64" doc:"The O of the subjects that its profiles name." example:"Example Meters"`
	Created      time.Time `json:"created,omitzero" readOnly:"true"`
	Approvals    string    `json:"approvals" enum:"default,none" readOnly:"true" doc:"Whether the default rules of approval hold for the kinds of act that have no rule of the tenant's own."`
	Parent       string    `json:"parent,omitempty" readOnly:"true" doc:"The tenant that made it as its child; absent where a platform operator did."`
	Suspended    bool      `json:"suspended,omitempty" readOnly:"true" doc:"By its parent."`

	Settings TenantSettings `json:"settings" readOnly:"true"`
}

// TenantSettings are what a platform operator sets for a tenant. What is absent is
// the deployment's.
type TenantSettings struct {
	PerSecond int  `json:"requests_per_second,omitzero" minimum:"0" maximum:"1000000" doc:"Requests to the API in the long run; absent is the deployment's limit."`
	Burst     int  `json:"burst,omitzero" minimum:"0" maximum:"1000000" doc:"Requests at once; set together with requests_per_second."`
	Children  *int `json:"children,omitempty" minimum:"0" maximum:"1000" doc:"How many children it may have; absent is 100."`
}

// NewTenant is what is asked for when a tenant is created.
type NewTenant struct {
	ID           string `json:"id" maxLength:"40" doc:"A slug of a-z, 0-9 and inner hyphens. It is never changed and never used again." example:"demo"`
	Organization string `json:"organization" maxLength:"64" doc:"The O of the subjects that its profiles name." example:"Example Meters"`
	Approvals    string `json:"approvals,omitempty" enum:"default,none" doc:"default: acts of weight need a security officer besides whoever asks. none: one administrator acts alone, until rules are set. Default: default."`
}

// Identity is who a token is.
type Identity struct {
	Tenant  string    `json:"tenant" doc:"The token's tenant; empty for a platform operator."`
	ID      string    `json:"id" doc:"The principal, as events name it." example:"token:0d3k2"`
	Name    string    `json:"name" doc:"For people to read."`
	Grants  []Grant   `json:"grants" doc:"What it may do: each of them."`
	Expires time.Time `json:"expires" doc:"When the token ends."`
}

// An APIToken is an API token without its secret.
type APIToken struct {
	ID      string    `json:"id"`
	Tenant  string    `json:"tenant"`
	Name    string    `json:"name"`
	Grants  []Grant   `json:"grants" doc:"What whoever holds it may do: each of them."`
	Maker   string    `json:"maker,omitempty" doc:"The principal that made it; absent where that is not known."`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
	Revoked time.Time `json:"revoked,omitzero" doc:"When it was revoked; absent while it holds."`
}

// NewToken is what is asked for when a token is created.
type NewToken struct {
	Name        string   `json:"name" minLength:"1" maxLength:"100" doc:"Whose it is, or what for." example:"line 3, plant Brno"`
	Role        string   `json:"role" doc:"One that is built in, as GET /roles lists them, or one of the tenant's own." example:"factory-operator"`
	Scopes      []string `json:"scopes,omitempty" minItems:"1" maxItems:"100" uniqueItems:"true" doc:"Where it has the role, as product-line:pro or authority:manufacturing+site:berlin, which exist; absent is the whole tenant."`
	LifeSeconds int64    `json:"life_seconds,omitzero" minimum:"0" maximum:"63072000" doc:"How long it lives, from 60 seconds to two years. Default: 90 days." example:"7776000"`
}

// A CreatedToken is an API token with its secret, which is shown this once.
type CreatedToken struct {
	APIToken
	Secret Token `json:"secret" doc:"The token's text, for the Authorization header. It is not kept and cannot be had again."`
}

// An Event is one administrative act.
type Event struct {
	ID     string    `json:"id"`
	At     time.Time `json:"at"`
	Actor  string    `json:"actor" doc:"Who acted." example:"token:0d3k2 (ops laptop)"`
	Action string    `json:"action" example:"authority.create"`
	Target string    `json:"target" doc:"What was acted on." example:"authority:0d3k2"`
	Detail string    `json:"detail,omitempty" doc:"What changed, in one line."`
}

// A Blocklist is a set of keys to refuse in certificate requests from now on.
type Blocklist struct {
	Hashes []string `json:"hashes" minItems:"1" maxItems:"900" doc:"SHA-256 of each SubjectPublicKeyInfo, in hexadecimal."`
}

// A BlocklistResult says what became of a Blocklist.
type BlocklistResult struct {
	Added int `json:"added" doc:"How many of the keys were new."`
}
