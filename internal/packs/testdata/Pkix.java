import java.io.FileInputStream;
import java.security.cert.*;
import java.util.*;

/** Verifies a chain by Java's PKIX, without revocation: root, leaf, and what is between. */
class Pkix {
    public static void main(String[] files) throws Exception {
        CertificateFactory factory = CertificateFactory.getInstance("X.509");
        List<X509Certificate> certificates = new ArrayList<>();
        for (String file : files) {
            try (FileInputStream in = new FileInputStream(file)) {
                certificates.add((X509Certificate) factory.generateCertificate(in));
            }
        }
        PKIXParameters parameters = new PKIXParameters(Set.of(new TrustAnchor(certificates.get(0), null)));
        parameters.setRevocationEnabled(false);
        CertPath path = factory.generateCertPath(certificates.subList(1, certificates.size()));
        CertPathValidator.getInstance("PKIX").validate(path, parameters);
    }
}
