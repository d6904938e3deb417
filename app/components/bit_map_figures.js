// How the bit map writes sizes, widths and losses.
const MIB = 1048576;
const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
const THIN = '\u202f';
Object.assign(ICONS, {
  undo: 'M8.5 5L4 9.5 8.5 14M4 9.5h10.5a5 5 0 0 1 0 10H9',
  redo: 'M15.5 5L20 9.5 15.5 14M20 9.5H9.5a5 5 0 0 0 0 10H15',
  keys: 'M3 6.5h18v11H3zM6.5 10h.01M10 10h.01M13.5 10h.01M17 10h.01M7 14h10',
});

function writeFixed(value, decimals) {
  const [whole, part] = Math.abs(value).toFixed(decimals).split('.');
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, THIN);
  return (value < 0 ? '−' : '') + grouped + (part ? '.' + part : '');
}

// Three significant digits; far numbers as powers of ten.
function writeFigure(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return '–';
  if (!Number.isFinite(value)) return value > 0 ? '∞' : '−∞';
  if (value === 0) return '0';
  const exponent = Math.floor(Math.log10(Math.abs(value)));
  if (exponent >= 6 || exponent < -4) {
    const [mantissa, power] = value.toExponential(2).split('e');
    const raised = [...String(Number(power))].map((sign) => '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'['-0123456789'.indexOf(sign)]);
    return mantissa.replace('-', '−') + ' × 10' + raised.join('');
  }
  return writeFixed(value, Math.max(0, 2 - exponent));
}

// The largest binary unit that leaves at least 1, with three digits.
function writeBytes(bytes) {
  if (bytes === null || bytes === undefined) return '–';
  let size = bytes;
  let unit = 0;
  while (Math.abs(size) >= 1024 && unit < BYTE_UNITS.length - 1) {
    size /= 1024;
    unit += 1;
  }
  const digits = unit === 0 ? 0 : Math.max(0, 3 - String(Math.floor(Math.abs(size))).length);
  return writeFixed(size, digits) + ' ' + BYTE_UNITS[unit];
}

function writeEffective(bits) {
  return bits === null || bits === undefined ? '–' : writeFixed(bits, 2);
}

function writeShare(part, whole) {
  return whole ? writeFixed((100 * part) / whole, part / whole < 0.0995 ? 1 : 0) + ' %' : '–';
}

function writeWithUnit(value, unit) {
  return writeFigure(value) + (unit ? ' ' + unit : '');
}

function writeSome(names, limit, sentence) {
  if (names.length <= limit) return names.join(', ');
  return fill(sentence, { names: names.slice(0, limit).join(', '), count: names.length - limit });
}

// What a score is called, and its unit; a task's own metric may carry its filter, "name (filter)".
function nameMetric(metric) {
  const [plain, ...filter] = metric.split(' (');
  const [title, unit] = props.metrics[plain] || [plain.replaceAll('_', ' '), ''];
  return { title: [title, ...filter].join(' ('), unit };
}
