/// The fields of every answer that tell browsers to be careful: the defaults of Helmet 8, of which the thirteenth is that
/// there is no X-Powered-By. The content policy is the answer's own, and Strict-Transport-Security only for TLS (RFC 6797,
/// 7.2).
enum SecurityFields {
  static let all: [(name: StaticString, value: StaticString)] = [
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("origin-agent-cluster", "?1"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("x-dns-prefetch-control", "off"),
    ("x-download-options", "noopen"),
    ("x-frame-options", "SAMEORIGIN"),
    ("x-permitted-cross-domain-policies", "none"),
    ("x-xss-protection", "0"),
  ]

  static let transportSecurity: (name: StaticString, value: StaticString) = (
    "strict-transport-security", "max-age=31536000; includeSubDomains"
  )
}
