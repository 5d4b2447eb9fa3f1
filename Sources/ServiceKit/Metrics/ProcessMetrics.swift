import Glibc

/// What the kernel knows of this process, read when `/metrics` is asked for. Names as Prometheus
/// client libraries use them.
package enum ProcessMetrics {
  static func exposition() -> String {
    let usage = usage()
    return """
      # TYPE process_cpu_seconds_total counter
      process_cpu_seconds_total \(usage.cpuSeconds)
      # TYPE process_peak_resident_memory_bytes gauge
      process_peak_resident_memory_bytes \(usage.peakBytes)

      """
  }

  /// CPU used since the start, by the program and by the kernel for it, and the most memory it ever had.
  package static func usage() -> (cpuSeconds: Double, peakBytes: Int) {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return (seconds(usage.ru_utime) + seconds(usage.ru_stime), usage.ru_maxrss * 1024)
  }

  private static func seconds(_ time: timeval) -> Double {
    Double(time.tv_sec) + Double(time.tv_usec) / 1e6
  }
}
