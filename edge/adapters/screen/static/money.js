// Amounts in minor units, as people write them; the digits are ISO 4217's (`wire.currency`), since a
// browser's own are CLDR's, which has none for some currencies with cents: a hundred times too much. Digits are
// those of the keypad and of the receipt (`nu-latn`), in every language.

// Written by `python -m scripts.lab.money_page`.
const WHOLE = new Set("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF".split(" "));
const THOUSANDTHS = new Set("BHD IQD JOD KWD LYD OMR TND".split(" "));

export function money(language, amountMinor, currency) {
  const digits = WHOLE.has(currency) ? 0 : THOUSANDTHS.has(currency) ? 3 : 2;
  const options = { style: "currency", currency, minimumFractionDigits: digits, maximumFractionDigits: digits };
  return new Intl.NumberFormat(`${language}-u-nu-latn`, options).format(amountMinor / 10 ** digits);
}
