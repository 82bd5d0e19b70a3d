package validator

import (
	"context"
	"log/slog"
	"net/netip"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/egress"
	"github.com/pando-pki/pando/internal/enrolauth"
	"github.com/pando-pki/pando/internal/pki"
)

// A Settings is one validator of the operator's configuration.
type Settings struct {
	Name    string
	Tenants []pki.TenantID // whose endpoints may name it

	URL            string // base of the service; "" has it be found by Discovery
	Discovery      string // URL of the list of services
	DiscoveryScope string // of the token for it
	Token          string // URL of the OAuth 2.0 token endpoint; "" has Secret be the bearer token
	Client         string // OAuth 2.0 client id
	Scope          string // of the token for the service
	Secret         pki.Secret
	Networks       []netip.Prefix // that are asked though they are not of the internet
}

// What the public cloud of Microsoft has.
const (
	entra          = "https://login.microsoftonline.com/"
	graphEndpoints = "https://graph.microsoft.com/v1.0/servicePrincipals/appId=0000000a-0000-0000-c000-000000000000/endpoints"
	graphScope     = "https://graph.microsoft.com/.default"
	intuneScope    = "https://api.manage.microsoft.com//.default" // with two slashes, as Microsoft's library has it
)

// Intune returns the settings for the Intune of a directory (tenant) of Microsoft Entra, as
// "contoso.onmicrosoft.com", in the public cloud; what is set already stays.
func (s Settings) Intune(directory string) Settings {
	or := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	or(&s.Token, entra+directory+"/oauth2/v2.0/token")
	or(&s.Scope, intuneScope)
	if s.URL == "" {
		or(&s.Discovery, graphEndpoints)
		or(&s.DiscoveryScope, graphScope)
	}
	return s
}

// Check reports as Malformed what cannot be a validator.
func (s Settings) Check() error {
	if err := pki.CheckSlug("name", s.Name); err != nil {
		return err
	}
	if len(s.Tenants) == 0 {
		return pki.Errorf(pki.Malformed, "say in tenants whose endpoints may name it")
	}
	for _, tenant := range s.Tenants {
		if err := pki.CheckSlug("tenant", string(tenant)); err != nil {
			return err
		}
	}
	if (s.URL == "") == (s.Discovery == "") {
		return pki.Errorf(pki.Malformed, "say where the service is by url, or by directory (or discovery) where it is Intune's")
	}
	if (s.Token == "") != (s.Client == "") {
		return pki.Errorf(pki.Malformed, "client and token (or directory) belong together")
	}
	for _, url := range []string{s.URL, s.Discovery, s.Token} {
		if url == "" {
			continue
		}
		if err := egress.CheckURL(url); err != nil {
			return err
		}
	}
	return nil
}

// An RA knows what was issued; enroll.Service is one.
type RA interface {
	// Issued returns the certificate that an idempotency key led to, or NotFound.
	Issued(ctx context.Context, g access.Permit, protocol pki.Protocol, device pki.DeviceID, idempotency string) (*pki.Certificate, error)
}

// Config is what a Service is made of; every field is needed. Validators have passed Check.
type Config struct {
	Validators []Settings
	Store      enrolauth.NoticeStore
	Sealer     enrolauth.Sealer
	RA         RA
	Alarms     *alarm.Board
	Now        pki.Clock
	Log        *slog.Logger
}
