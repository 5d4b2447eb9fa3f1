/// 8-4-4-4-12 hexadecimal digits in either case.
func isUUID(_ value: String) -> Bool {
  guard value.utf8.count == 36 else { return false }
  return value.utf8.withContiguousStorageIfAvailable(isUUID)
    ?? Array(value.utf8).withUnsafeBufferPointer(isUUID)
}

private func isUUID(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
  bytes.indices.allSatisfy { index in
    switch index {
    case 8, 13, 18, 23: bytes[index] == UInt8(ascii: "-")
    default: bytes[index].isHexDigit
    }
  }
}

/// `+`, a digit from 1, and 6 to 14 digits more.
func isE164(_ value: String) -> Bool {
  let bytes = value.utf8
  guard bytes.first == UInt8(ascii: "+"), (8...16).contains(bytes.count) else { return false }
  let digits = bytes.dropFirst()
  return digits.first != UInt8(ascii: "0") && digits.allSatisfy(\.isDigit)
}

/// The addresses the HTML standard accepts, with a dot in the domain and the limits of RFC 5321.
func isEmail(_ value: String) -> Bool {
  let bytes = value.utf8
  guard bytes.count <= 254, let at = bytes.lastIndex(of: UInt8(ascii: "@")) else { return false }
  let local = bytes[..<at]
  guard (1...64).contains(local.count), local.allSatisfy(\.isEmailLocal),
    local.first != UInt8(ascii: "."), local.last != UInt8(ascii: ".")
  else { return false }
  let labels = bytes[bytes.index(after: at)...].split(
    separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
  return labels.count > 1
    && labels.allSatisfy { label in
      (1...63).contains(label.count) && label.first != UInt8(ascii: "-") && label.last != UInt8(ascii: "-")
        && label.allSatisfy { $0.isDigit || $0.isLetter || $0 == UInt8(ascii: "-") }
    }
}

extension UInt8 {
  fileprivate var isDigit: Bool { UInt8(ascii: "0") <= self && self <= UInt8(ascii: "9") }

  fileprivate var isLetter: Bool {
    let lower = self | 0x20
    return UInt8(ascii: "a") <= lower && lower <= UInt8(ascii: "z")
  }

  fileprivate var isHexDigit: Bool {
    let lower = self | 0x20
    return isDigit || (UInt8(ascii: "a") <= lower && lower <= UInt8(ascii: "f"))
  }

  fileprivate var isEmailLocal: Bool {
    isDigit || isLetter || ".!#$%&'*+/=?^_`{|}~-".utf8.contains(self)
  }
}

/// ISO 4217 active alphabetic codes of money, without funds, metals and test codes.
/// Source: SIX, list one, 2026.
let activeCurrencies = Set(
  """
  AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP \
  CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG \
  HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL \
  MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR \
  RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD \
  TZS UAH UGX USD UYU UZS VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
  """.split(separator: " ").map(String.init))
