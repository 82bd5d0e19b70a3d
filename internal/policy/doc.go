// Package policy turns a profile, a YAML document, into what goes into a
// certificate, and refuses what must not.
//
// [Parse] reads and checks a document once, [Profile.Bind] compiles it for one
// issuer into encoder parts, [Bound.Content] decides about one request, and
// [Bound.Lint] re-reads what was encoded. Nothing of a request gets into a
// certificate unless the profile names it.
//
// # The language
//
// A document is one YAML mapping of at most 64 KiB, without anchors, aliases,
// tags, merge keys and nulls. Unknown and repeated keys are errors. What a key
// means never changes; keys and words are only added.
//
//	profile: meter                  # a slug
//	description: One smart meter.   # free text
//
//	keys:
//	  allow: [p256]                 # preferred first: p256 p384 p521 ed25519 rsa2048 rsa3072 rsa4096;
//	                                # "rsa2048+" is any RSA modulus from 2048 to 4096 bits
//	  reuse: per-device             # the default: no two devices share a key; or: shared
//	  renew: new-key                # the default: a device's next certificate has a new key; or: same-key
//
//	validity: 20y                   # a number and y, mo, d, h, min or s; or 99991231235959Z, no expiry
//	backdate: 5min                  # notBefore is so much before now; none by default
//	outlive: refuse                 # the default where the issuer expires first; or: clip, to expire with it
//
//	subject:                        # RDNs in order; may be left out where a SAN is sure
//	  - {type: O, from: tenant.organization}
//	  - {type: CN, from: csr.subject.cn, check: dns, authorized: true, optional: true}
//
//	san:
//	  required: true                # at least one name
//	  names:
//	    - {dns: {from: csr.san.dns, authorized: true}}
//	    - {uri: {from: csr.san.uri, pattern: "urn:meter:[0-9]+"}}
//	    - {ip: {from: csr.san.ip, authorized: true}}
//	    - {hardwareModuleName: {type: 1.3.6.1.4.1.32473.1.1, from: device.id}}
//
//	basicConstraints: {ca: false}   # or {ca: true, pathLength: 0}
//	keyUsage: {use: [digitalSignature], rsa: [keyEncipherment]} # rsa: also these, for RSA keys
//	extendedKeyUsage: {use: [clientAuth, 1.3.6.1.4.1.32473.3.1], critical: false}
//	policies: [1.3.6.1.4.1.32473.2.3]
//	keyIdentifiers: [subject, authority]
//	status: {crl: true, ocsp: true, caIssuers: true} # deltas: true names delta CRLs too
//	ocspNoCheck: false
//
// Attribute types are C, ST, L, O, OU, CN, serialNumber, DC, and any dotted OID
// (a UTF8String). A dns, uri or ip name always passes the check of that name.
//
// A value is a literal (value:) or drawn by a path (from:): device.id,
// tenant.organization, authority.commonName, csr.subject.cn,
// csr.subject.serialNumber, csr.san.dns, csr.san.uri, csr.san.ip,
// request.attributes.NAME. A path is also a CEL expression, which is what from:
// may hold one day.
//
// What comes from the CSR or the request passes a check: dns, uri, ip, or name
// (1 to 64 printable characters). pattern: is an RE2 expression that must match
// the whole value besides. authorized: true demands that the endpoint's names
// cover the value. optional: true leaves out what is absent; a csr.san path may
// yield any number of names, also none.
package policy
