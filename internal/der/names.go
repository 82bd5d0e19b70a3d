package der

// Attribute types of names (RFC 5280, appendix A.1; RFC 4519).
const (
	OIDCommonName          = "2.5.4.3"
	OIDSurname             = "2.5.4.4"
	OIDSerialNumber        = "2.5.4.5"
	OIDCountry             = "2.5.4.6"
	OIDLocality            = "2.5.4.7"
	OIDProvince            = "2.5.4.8"
	OIDStreet              = "2.5.4.9"
	OIDOrganization        = "2.5.4.10"
	OIDOrganizationalUnit  = "2.5.4.11"
	OIDTitle               = "2.5.4.12"
	OIDPostalCode          = "2.5.4.17"
	OIDName                = "2.5.4.41"
	OIDGivenName           = "2.5.4.42"
	OIDInitials            = "2.5.4.43"
	OIDGenerationQualifier = "2.5.4.44"
	OIDDNQualifier         = "2.5.4.46"
	OIDPseudonym           = "2.5.4.65"
	OIDUserID              = "0.9.2342.19200300.100.1.1"
	OIDDomainComponent     = "0.9.2342.19200300.100.1.25"
	OIDEmailAddress        = "1.2.840.113549.1.9.1" // PKCS #9
)

// Extensions of certificates, CRLs and CRL entries (RFC 5280, 4.2 and 5.2).
const (
	OIDSubjectKeyIdentifier     = "2.5.29.14"
	OIDKeyUsage                 = "2.5.29.15"
	OIDSubjectAltName           = "2.5.29.17"
	OIDBasicConstraints         = "2.5.29.19"
	OIDCRLNumber                = "2.5.29.20"
	OIDReasonCode               = "2.5.29.21"
	OIDDeltaCRLIndicator        = "2.5.29.27"
	OIDIssuingDistributionPoint = "2.5.29.28"
	OIDNameConstraints          = "2.5.29.30"
	OIDCRLDistributionPoints    = "2.5.29.31"
	OIDCertificatePolicies      = "2.5.29.32"
	OIDAuthorityKeyIdentifier   = "2.5.29.35"
	OIDExtendedKeyUsage         = "2.5.29.37"
	OIDFreshestCRL              = "2.5.29.46"
	OIDNoRevAvail               = "2.5.29.56" // RFC 9608
	OIDAuthorityInfoAccess      = "1.3.6.1.5.5.7.1.1"
)

// Extended key usages (RFC 5280, 4.2.1.12).
const (
	OIDServerAuth  = "1.3.6.1.5.5.7.3.1"
	OIDClientAuth  = "1.3.6.1.5.5.7.3.2"
	OIDCodeSigning = "1.3.6.1.5.5.7.3.3"
	OIDOCSPSigning = "1.3.6.1.5.5.7.3.9"
)

// Access methods, and the names of OCSP (RFC 5280, 4.2.2.1; RFC 6960, 4).
const (
	OIDAccessOCSP      = "1.3.6.1.5.5.7.48.1"
	OIDAccessCAIssuers = "1.3.6.1.5.5.7.48.2"
	OIDOCSPBasic       = "1.3.6.1.5.5.7.48.1.1"
	OIDOCSPNonce       = "1.3.6.1.5.5.7.48.1.2"
	OIDOCSPNoCheck     = "1.3.6.1.5.5.7.48.1.5"
)

// OIDHardwareModuleName is the otherName of a hardware module (RFC 4108, 5).
const OIDHardwareModuleName = "1.3.6.1.5.5.7.8.4"

// The qualifiers of a certificate policy (RFC 5280, 4.2.1.4).
const (
	OIDQualifierCPS    = "1.3.6.1.5.5.7.2.1"
	OIDQualifierNotice = "1.3.6.1.5.5.7.2.2"
)

// Attributes of certification requests (RFC 2985, 5.4).
const (
	OIDChallengePassword = "1.2.840.113549.1.9.7"
	OIDExtensionRequest  = "1.2.840.113549.1.9.14"

	OIDSMIMECapabilities = "1.2.840.113549.1.9.15" // RFC 8551, 2.5.2
)

// Attributes of requests in EST: for whom a key that the server makes is encrypted (RFC
// 4108, 2.2.5; RFC 7030, 4.4.1), and what a request is to have (RFC 9908, 3.4).
const (
	OIDDecryptKeyIdentifier           = "1.2.840.113549.1.9.16.2.37"
	OIDAsymmetricDecryptKeyIdentifier = "1.2.840.113549.1.9.16.2.54"
	OIDRequestTemplate                = "1.2.840.113549.1.9.16.2.61"
	OIDExtensionRequestTemplate       = "1.2.840.113549.1.9.16.2.62"
)

// Content types of CMS (RFC 5652, 4, 5.1 and 6.1; RFC 5083, 2.1).
const (
	OIDData              = "1.2.840.113549.1.7.1"
	OIDSignedData        = "1.2.840.113549.1.7.2"
	OIDEnvelopedData     = "1.2.840.113549.1.7.3"
	OIDAuthEnvelopedData = "1.2.840.113549.1.9.16.1.23"
)

// Attributes of CMS (RFC 5652, 11).
const (
	OIDContentType   = "1.2.840.113549.1.9.3"
	OIDMessageDigest = "1.2.840.113549.1.9.4"
	OIDSigningTime   = "1.2.840.113549.1.9.5"
)

// Ciphers and key encryption of CMS (RFC 3565, 2.3 and 4.1; RFC 5084, 3.2; RFC 3370,
// 5.1; RFC 4055, 4.1; RFC 3211, 2.3; RFC 8018, A.2).
const (
	OIDAES128CBC    = "2.16.840.1.101.3.4.1.2"
	OIDAES192CBC    = "2.16.840.1.101.3.4.1.22"
	OIDAES256CBC    = "2.16.840.1.101.3.4.1.42"
	OIDAES128GCM    = "2.16.840.1.101.3.4.1.6"
	OIDAES192GCM    = "2.16.840.1.101.3.4.1.26"
	OIDAES256GCM    = "2.16.840.1.101.3.4.1.46"
	OIDAES128Wrap   = "2.16.840.1.101.3.4.1.5"
	OIDAES192Wrap   = "2.16.840.1.101.3.4.1.25"
	OIDAES256Wrap   = "2.16.840.1.101.3.4.1.45"
	OIDTripleDESCBC = "1.2.840.113549.3.7"
	OIDDESCBC       = "1.3.14.3.2.7" // OIW
	OIDRSAOAEP      = "1.2.840.113549.1.1.7"
	OIDPWRIKEK      = "1.2.840.113549.1.9.16.3.9"
	OIDPBKDF2       = "1.2.840.113549.1.5.12"
	OIDHMACSHA1     = "1.2.840.113549.2.7"
	OIDHMACSHA256   = "1.2.840.113549.2.9"
	OIDHMACSHA384   = "1.2.840.113549.2.10"
	OIDHMACSHA512   = "1.2.840.113549.2.11"
)

// Key agreement by ephemeral-static ECDH with the KDF of ANSI X9.63 (RFC 5753, 7.1.4).
const (
	OIDECDHSHA1   = "1.3.133.16.840.63.0.2"
	OIDECDHSHA256 = "1.3.132.1.11.1"
	OIDECDHSHA384 = "1.3.132.1.11.2"
	OIDECDHSHA512 = "1.3.132.1.11.3"
)

// Public keys and curves (RFC 3279, 2.3.1; RFC 5480, 2.1.1; RFC 8410, 3).
const (
	OIDRSA         = "1.2.840.113549.1.1.1"
	OIDECPublicKey = "1.2.840.10045.2.1"
	OIDP256        = "1.2.840.10045.3.1.7"
	OIDP384        = "1.3.132.0.34"
	OIDP521        = "1.3.132.0.35"
	OIDX25519      = "1.3.101.110"
	OIDEd25519     = "1.3.101.112"             // of keys and of signatures, as are the next
	OIDMLDSA44     = "2.16.840.1.101.3.4.3.17" // RFC 9881
	OIDMLDSA65     = "2.16.840.1.101.3.4.3.18"
	OIDMLDSA87     = "2.16.840.1.101.3.4.3.19"
	OIDSLHDSA      = "2.16.840.1.101.3.4.3.20" // SLH-DSA-SHA2-128s, RFC 9909
)

// Signature algorithms (RFC 4055, 5; RFC 5758, 3.2).
const (
	OIDRSASHA1     = "1.2.840.113549.1.1.5" // old clients' messages only, as is the next
	OIDECDSASHA1   = "1.2.840.10045.4.1"
	OIDRSASHA256   = "1.2.840.113549.1.1.11"
	OIDRSASHA384   = "1.2.840.113549.1.1.12"
	OIDRSASHA512   = "1.2.840.113549.1.1.13"
	OIDRSAPSS      = "1.2.840.113549.1.1.10"
	OIDMGF1        = "1.2.840.113549.1.1.8"
	OIDECDSASHA256 = "1.2.840.10045.4.3.2"
	OIDECDSASHA384 = "1.2.840.10045.4.3.3"
	OIDECDSASHA512 = "1.2.840.10045.4.3.4"
)

// Hash algorithms (RFC 3279, 2.1; RFC 5754, 2).
const (
	OIDSHA1   = "1.3.14.3.2.26"
	OIDSHA256 = "2.16.840.1.101.3.4.2.1"
	OIDSHA384 = "2.16.840.1.101.3.4.2.2"
	OIDSHA512 = "2.16.840.1.101.3.4.2.3"
)

// known maps the content octets of the identifiers that requests, certificates and the
// messages with these are full of to their dotted names, encoded these to the whole
// identifiers.
var known, encoded = index(
	OIDCommonName, OIDSerialNumber, OIDCountry, OIDLocality, OIDProvince,
	OIDOrganization, OIDOrganizationalUnit, OIDDomainComponent, OIDEmailAddress,
	OIDSubjectKeyIdentifier, OIDKeyUsage, OIDSubjectAltName, OIDBasicConstraints,
	OIDCRLDistributionPoints, OIDCertificatePolicies, OIDAuthorityKeyIdentifier,
	OIDExtendedKeyUsage, OIDAuthorityInfoAccess, OIDNameConstraints,
	OIDOCSPNonce, OIDOCSPNoCheck, OIDHardwareModuleName, OIDECDSASHA256,
	OIDChallengePassword, OIDExtensionRequest, OIDData, OIDSignedData,
)

func index(names ...string) (known, encoded map[string]string) {
	known, encoded = make(map[string]string, len(names)), make(map[string]string, len(names))
	for _, dotted := range names {
		id, err := appendOID(nil, dotted)
		if err != nil {
			panic(err)
		}
		known[string(id[2:])], encoded[dotted] = dotted, string(id)
	}
	return known, encoded
}
