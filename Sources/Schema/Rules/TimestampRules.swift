/// What every `google.protobuf.Timestamp` must satisfy, whether or not its field has rules.
public enum TimestampRules {
  /// 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z, as timestamp.proto says.
  public static let seconds: ClosedRange<Int64> = -62_135_596_800...253_402_300_799

  public static func check(seconds: Int64, nanos: Int32) -> RuleViolation? {
    guard self.seconds.contains(seconds), (0..<1_000_000_000).contains(nanos) else {
      return RuleViolation(
        code: "INVALID_TIMESTAMP", message: "must lie in the years 1 to 9999, with nanos from 0 to 999999999")
    }
    return nil
  }
}
