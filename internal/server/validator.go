package server

import (
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/validator"
)

// settings returns what a validator is, but for its secret.
func (v Validator) settings() validator.Settings {
	s := validator.Settings{Name: v.Name, Tenants: v.Tenants, URL: v.URL, Discovery: v.Discovery, DiscoveryScope: v.DiscoveryScope,
		Token: v.Token, Client: v.Client, Scope: v.Scope, Networks: v.Networks}
	if v.Directory != "" {
		s = s.Intune(v.Directory)
	}
	return s
}

// check reports as Malformed what no server can run with.
func (s SCEP) check() error {
	seen := make(map[string]bool)
	for i, v := range s.Validators {
		err := v.settings().Check()
		switch {
		case err == nil && seen[v.Name]:
			err = pki.Errorf(pki.Malformed, "there are two of the name %s", v.Name)
		case err == nil && v.Directory != "" && !domain(v.Directory):
			err = pki.Errorf(pki.Malformed, "directory is a domain or an id, as contoso.onmicrosoft.com")
		case err == nil:
			err = checkSecretSource(v.Secret)
		}
		if err != nil {
			return pki.Errorf(pki.Malformed, "scep.validators, the %d. one: %s", i+1, pki.DetailOf(err))
		}
		seen[v.Name] = true
	}
	return nil
}

// domain reports whether a text has the letters of a domain's name alone.
func domain(text string) bool {
	for i := range len(text) {
		c := text[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '.' {
			return false
		}
	}
	return text != ""
}

// validatorSettings returns the validators with their secrets.
func (s *Server) validatorSettings() ([]validator.Settings, error) {
	var all []validator.Settings
	for _, v := range s.cfg.SCEP.Validators {
		settings := v.settings()
		var err error
		if settings.Secret, err = s.secretFrom(v.Secret, "a validator in scep.validators"); err != nil {
			return nil, err
		}
		all = append(all, settings)
	}
	return all, nil
}
