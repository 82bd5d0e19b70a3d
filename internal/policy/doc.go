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
//	mode: any                       # the default; or: test, for test authorities only
//	authorities: [manufacturing]    # those it is for, by name; any where it is left out
//
//	strict: true                    # refuse a request that asks for what the certificate will not have;
//	                                # without it, that is dropped
//	rules:                          # expressions that must hold, each with what a refused requester is told
//	  - {require: "lot.name.startsWith('LOT-')", because: its lot is one of ours}
//
//	pair: gb-key-agreement          # the profile of the certificate that is issued with this one, for the
//	                                # same device and another key: both or neither; that profile names this one
//
//	approvals:                      # who approves each enrolment before anything is issued, one step after another
//	  steps: [1 of ra-operator, 2 of security-officer] # so many holders of a role, built-in or the tenant's own
//	  expire: 7d                    # the default: what nobody decided by then is over; from 1min to 90d
//
//	quota: 100000                   # publishing it sets the tenant's quota for the profile, in all its versions
//
//	binding: tls                    # each request names in its challengePassword the TLS connection that it comes by
//	                                # (EST, RFC 7030, 3.5); without it, one that names another is refused alone
//
//	keys:
//	  allow: [p256]                 # preferred first: p256 p384 p521 ed25519 rsa2048 rsa3072 rsa4096;
//	                                # mldsa44 mldsa65 mldsa87, and slhdsa-sha2-128s for CAs;
//	                                # rsa2048-pss rsa3072-pss rsa4096-pss for CAs and OCSP responders that sign by PSS;
//	                                # "rsa2048+" is any RSA modulus from 2048 to 4096 bits
//	  reuse: per-device             # the default: no two devices share a key; or: shared
//	  renew: new-key                # the default: a device's next certificate has a new key; or: same-key
//	  renew: {key: same-key, grace: 90d} # so long after its end a certificate is still renewed, with its own key
//
//	serverKeys: {plain: true}       # keys may be made here for devices that cannot make their own (EST serverkeygen): handed out
//	                                # under TLS alone, or without plain encrypted for the device besides; none are without the key
//	serverKeys: {for: [device]}     # for requesters of these roles; by default for all who may enrol
//
//	validity: 20y                   # a number and y, mo, d, h, min or s; or 99991231235959Z, no expiry
//	backdate: 5min                  # notBefore is so much before now; none by default
//	outlive: refuse                 # the default where the issuer expires first; or: clip, to expire with it
//
//	subject:                        # RDNs in order; may be left out where a SAN is sure
//	  - {type: O, from: tenant.organization}
//	  - {type: CN, from: csr.subject.cn, check: dns, authorized: true, optional: true}
//	  - {type: 1.3.6.1.4.1.37244.2.1, value: FFF1, string: utf8} # or printable, ia5
//	  - rdn: [{type: OU, value: Meters}, {type: serialNumber, from: device.id}] # several in one RDN
//
//	san:
//	  required: true                # at least one name
//	  critical: true                # it is, in any case, where the subject is empty
//	  names:
//	    - {dns: {from: csr.san.dns, authorized: true}}
//	    - {uri: {from: csr.san.uri, pattern: "urn:meter:[0-9]+"}}
//	    - {ip: {from: csr.san.ip, authorized: true}}
//	    - {email: ops@example.com}
//	    - {hardwareModuleName: {type: 1.3.6.1.4.1.32473.1.1, from: device.id, as: hex}} # as: text by default
//	    - {upn: {from: "device.id + '@example.com'"}}
//	    - {directoryName: [{type: O, value: Example}]}
//	    - {registeredID: 1.3.6.1.4.1.32473.9}
//	    - {otherName: {type: 1.3.6.1.4.1.32473.7, asn1: {utf8: {from: device.id}}}}
//
//	basicConstraints: {ca: false}   # or {ca: true, pathLength: 0}
//	nameConstraints: {permitted: [{dns: example.com}, {ip: 10.0.0.0/8}], excluded: [{email: .example.com}]}
//	keyUsage: {use: [digitalSignature], rsa: [keyEncipherment], critical: true} # rsa: also these, for RSA keys
//	extendedKeyUsage: {use: [clientAuth, 1.3.6.1.4.1.32473.3.1], critical: false}
//	policies: [1.3.6.1.4.1.32473.2.3]
//	policies: {critical: true, use: [{oid: 1.3.6.1.4.1.32473.2.3, cps: "https://example.com/cps", notice: Devices}]}
//	keyIdentifiers: [subject, authority]
//	keyIdentifiers: {use: [subject, authority], method: short} # the subject's has 8 octets (RFC 5280, 4.2.1.2, method 2); sha1, the default, 20
//	status: {crl: true, ocsp: true, caIssuers: true} # deltas: true names delta CRLs too
//	ocspNoCheck: false
//	noRevAvail: false               # RFC 9608: nothing is published about its revocation
//	extensions:                     # any other, by OID and value
//	  - {oid: 1.3.6.1.4.1.311.20.2, critical: false, asn1: {bmp: Machine}}
//	lint:                           # rules of zlint that do not count, each with a reason
//	  except: [{rule: e_rule_of_zlint, because: the ecosystem asks for it}]
//
// A document of a pack (package packs, with documents to begin with) may have $(name)
// where its user's value stands; one that is not filled in is refused.
//
// Attribute types are C, ST, L, O, OU, CN, serialNumber, DC, and any dotted OID (a
// UTF8String unless string says otherwise). A dns, uri, ip or email name always
// passes the check of that name. Each certificate has at least one extension.
//
// # Values
//
// A value is a literal (value:, or the word alone) or drawn from what is known
// (from:). A plain path costs nothing: device.id, tenant.organization,
// authority.commonName, csr.subject.cn, csr.subject.serialNumber, csr.san.dns,
// csr.san.uri, csr.san.ip, csr.san.email, request.attributes.NAME, which is empty
// where the request has no such attribute. Anything else is an expression in CEL
// (cel.dev) with its standard functions and those for strings, base64 and
// optional values. It yields a text, or for names a list of texts, and sees
//
//	tenant.id tenant.organization  authority.commonName   device.id
//	product_line.name lot.name site.name
//	requester.id requester.name requester.role    # of a batch: id, who submitted it
//	request.attributes (a map) request.protocol request.endpoint
//	csr.subject.cn csr.subject.serialNumber csr.subject.attributes (a list with type and value)
//	csr.san.dns csr.san.uri csr.san.ip csr.san.email (lists)  csr.key.kind  csr.extensions (a list of OIDs)
//	now (a timestamp)
//
// An expression has at most 900 characters and two loops within each other; patterns
// of matches are literals of bounded size, times are in UTC, and no list is made in
// the order of a map. One that fails, costs more than it may (some milliseconds, and
// three times that for all of a request), makes a value of more than 64 KiB on the way
// or yields more than 100 texts or 4096 bytes is a refusal that says so; so is a request
// whose CSR has a subject value or a name above 4 KiB, for a profile whose expressions
// look at the CSR. A profile that costs too much for a sample cannot be published.
//
// What whoever asks has written, or may have, passes a check, also where it comes
// through an expression (csr, request, requester, product_line, lot, site): dns, uri,
// ip, email, hex (1 to 64 octets) or name (1 to 64 printable characters that are seen,
// in Unicode's composed form, NFC). pattern: is an RE2 expression that must match the
// whole value besides. authorized: true demands that the endpoint's names cover the value: no name
// that is not authorised. authorized: exact, for dns, uri and ip names of san, demands
// that the sets agree: the certificate's names of the kind, wherever they come from, are
// those that the endpoint authorises, each once. One more is refused, and one less: an
// entry that stands for many (*.example.com, 10.0.0.0/8, urn:meter:) has at least one
// name, and where the endpoint authorises none of the kind the certificate has none.
// optional: true leaves out what is absent or empty; a list may yield any number of
// names, also none. A name that stands twice in the SAN is refused. These are the forms of
// names that there are: x400Address and ediPartyName (RFC 5280, 4.2.1.6) cannot be given.
//
// # What the issuer holds it to
//
// Name constraints of the authority and of those above it hold for subjects and
// alternative names of the forms that they are about (RFC 5280, 4.2.1.10); one that is
// about a form which cannot be read here forbids every name of such a form. In Matter, a
// subject with a vendor id has its issuer's, and the product id where the issuer has one.
// What a profile says of every certificate is refused when an endpoint binds it to the
// authority, what a request brings when it asks.
//
// # Pairs
//
// Some devices have two certificates that make sense together alone, as those for
// signatures and for key agreement of GB smart metering. Their profiles name each
// other with pair. One request then asks for both, at an endpoint for each, of the
// same authority: for one device and two keys (pair in POST /enrollments, or pando cert
// enroll --pair-endpoint). Both are issued or neither, also where the server dies in
// between. A request for one alone is refused. Meters are made by the lot: a batch of pairs
// (batches.md) has two requests for each device.
//
// # Approvals
//
// With approvals, an enrolment is checked whole and then waits until others than
// whoever asks have approved it, as the exact request: with the last approval the server
// checks all of it again and issues. The same request sent again says how it stands, and
// gets the certificate when there is one. A pair waits as one; it needs what either of
// its profiles says, first that of the request and then that of its pair, where they
// differ. An endpoint may name others who approve after those of the profile
// (approvals.md). A batch waits as a whole, for one change, when its upload is complete. The
// approvers are people of the tenant whose endpoint it is, also where the profile is
// lent to it. A role of the tenant's own includes approvals.decide. The certificates of
// the server's own listeners wait for nobody; authorities have rules of their own
// (approvals.md), and OCSP responders none.
//
// # Quotas
//
// With quota, the publication of the document sets the tenant's quota for the profile
// (quotas.md), as 'pando quota set profile:NAME' does, in the same transaction, for the
// certificates of all versions, whichever an endpoint binds. Whoever publishes may set
// quotas then. A quota that is lower already is not raised by a document: 'pando quota
// set' does that first, where the tenant wants it with approval. A document without the
// key leaves the quota as it is.
//
// # ASN.1
//
// A value in ASN.1 has one key, its type: boolean, oid, der (hexadecimal digits), a
// leaf that is a value as above (integer, enumerated, utf8, printable, ia5, bmp,
// octets and bits with as: text, hex or base64, time as 2026-12-31T23:59:59Z), or
// what holds others: sequence, set, explicit: {tag: 0, of: ...}, implicit, and
// wrapped, which is an OCTET STRING with the DER of one. A leaf that is optional
// and absent is left out, with the tag around it; an extension of which nothing is
// left is not there.
package policy
