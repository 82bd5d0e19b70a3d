package tbs

import (
	"fmt"
	"unicode/utf8"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// An attributeRule is what RFC 5280, appendix A.1 says of an attribute's values.
type attributeRule struct {
	min, max int        // characters; max 0 sets no bound
	only     StringType // with directory false, the one type that values have; else UTF8String
	// directory says that the attribute is a DirectoryString, of which RFC 5280
	// leaves UTF8String and PrintableString to new names.
	directory bool
}

// attributeRules are the rules by attribute, with two bounds that others have set.
// Attributes without a rule are free.
var attributeRules = map[string]attributeRule{
	der.OIDCommonName:          {min: 1, max: 64, directory: true},
	der.OIDSurname:             {min: 1, max: 32768, directory: true},
	der.OIDSerialNumber:        {min: 1, max: 64, only: PrintableString},
	der.OIDCountry:             {min: 2, max: 2, only: PrintableString},
	der.OIDLocality:            {min: 1, max: 128, directory: true},
	der.OIDProvince:            {min: 1, max: 128, directory: true},
	der.OIDOrganization:        {min: 1, max: 64, directory: true},
	der.OIDOrganizationalUnit:  {min: 1, max: 64, directory: true},
	der.OIDTitle:               {min: 1, max: 64, directory: true},
	der.OIDStreet:              {min: 1, max: 128, directory: true}, // X.520, ub-street-address
	der.OIDPostalCode:          {min: 1, max: 16, directory: true},  // ub-postal-code-length
	der.OIDName:                {min: 1, max: 32768, directory: true},
	der.OIDGivenName:           {min: 1, max: 32768, directory: true},
	der.OIDInitials:            {min: 1, max: 32768, directory: true},
	der.OIDGenerationQualifier: {min: 1, max: 32768, directory: true},
	der.OIDDNQualifier:         {min: 1, only: PrintableString},
	der.OIDPseudonym:           {min: 1, max: 128, directory: true},
	der.OIDDomainComponent:     {min: 1, only: IA5String},
	der.OIDEmailAddress:        {min: 1, max: 255, only: IA5String},
}

// check says what of a may not be encoded.
func (a Attribute) check() error {
	if a.Type < 0 || int(a.Type) >= len(stringTags) {
		return fmt.Errorf("attribute %s: there is no string type %d", a.OID, a.Type)
	}
	if why := a.Type.refuses([]byte(a.Value)); why != "" {
		return pki.Errorf(pki.PolicyRefused, "subject attribute %s: the value %s", attributeName(a.OID), why)
	}
	rule, ok := attributeRules[a.OID]
	if !ok {
		return nil
	}
	if rule.directory && a.Type == IA5String || !rule.directory && a.Type != rule.only {
		return pki.Errorf(pki.PolicyRefused, "subject attribute %s: RFC 5280 gives it another string type", attributeName(a.OID))
	}
	if n := utf8.RuneCountInString(a.Value); n < rule.min || rule.max > 0 && n > rule.max {
		return pki.Errorf(pki.PolicyRefused, "subject attribute %s: the value has %d characters; RFC 5280 and X.520 allow %d to %d", attributeName(a.OID), n, rule.min, rule.max)
	}
	return nil
}
